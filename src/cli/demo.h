// `caravan demo`: a cluster of several devices on this machine answers a question.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_demo(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
