// `caravan status`: the cluster's devices, what each does, and what is served.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_status(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
