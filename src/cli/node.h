// `caravan node`: runs this device's node in the foreground.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_node(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
