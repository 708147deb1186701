// `caravan remove`, `rename`, `promote` and `leave`: who belongs to the cluster, and how they are called.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_members(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
