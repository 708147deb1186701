// `caravan stop`: ends this device's node, and waits until it is gone.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_stop(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
