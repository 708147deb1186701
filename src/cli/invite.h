// `caravan invite`: see its --help.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_invite(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
