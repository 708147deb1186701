// `caravan doctor`: what is wrong on this device, why it matters, what to do.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

/// Adds the command to `root`. It is handed to `run` while the command line is parsed, and does its work,
/// which blocks for less than 20 seconds, when what was handed over is called.
void add_doctor(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
