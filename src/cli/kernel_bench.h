// `caravan kernel-bench`: the child of `caravan calibrate` that runs the engine's kernels. Not shown in
// --help.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_kernel_bench(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
