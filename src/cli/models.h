// `caravan models list | recommend | pull | path | verify | rm`: the models that Caravan knows, and those on
// this device.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

/// Adds the command to `root`. The subcommand that was chosen is handed to `run` while the command line is
/// parsed, and does its work, which blocks, when what was handed over is called.
void add_models(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
