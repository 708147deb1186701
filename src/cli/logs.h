// `caravan logs`: what this device's node and its engine have said.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_logs(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
