// `caravan stop`: ends this device's node, and waits until it is gone.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "app/node_lock.h"
#include "base/files.h"
#include "base/result.h"

namespace caravan::cli {

/// Asks `holder`'s node to end until it has agreed, and waits until it has given back its lock, the last
/// thing that it does. Blocks, at most 10 seconds.
Result<void> end_node(const fs::path& folder, const app::LockHolder& holder);

void add_stop(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
