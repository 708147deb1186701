// `caravan calibrate`: measure how fast this device is.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_calibrate(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
