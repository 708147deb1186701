// `caravan up`: this device's node, in the foreground or in the background.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_up(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
