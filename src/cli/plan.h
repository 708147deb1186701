// `caravan plan`: who would carry what, how fast, and why.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_plan(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
