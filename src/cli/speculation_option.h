// `--speculation` of `plan` and `serve`: whether tokens are guessed ahead.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_speculation_option(CLI::App& command, std::string& speculation);

}  // namespace caravan::cli
