// `caravan engine`: what was found of the engine, and what is missing.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_engine(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
