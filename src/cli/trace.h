// `caravan trace`: where the time of a token goes, stage by stage.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_trace(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
