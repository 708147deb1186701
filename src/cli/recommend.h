// `caravan models recommend`: which models and quantizations to take, and what the next larger one would
// need.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

/// Adds it to `models`; `run` as for the other commands.
void add_recommend(CLI::App& models, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
