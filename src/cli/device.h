// `caravan device`: what this device can give to a model, and what it hides.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

/// Adds the command to `root`. It is handed to `run` while the command line is parsed, and does its work,
/// which blocks for some seconds at most, when what was handed over is called.
void add_device(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
