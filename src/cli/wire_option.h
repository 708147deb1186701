// `--wire` of `serve` and `demo`: hidden states packed on their way from worker to worker.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "base/result.h"

namespace caravan::cli {

void add_wire_option(CLI::App& command, std::string& wire);
/// Only the fabric packs.
Result<void> check_wire(const std::string& wire, const std::string& data_path);
/// One line of what packing does to a model; empty for f32.
std::string wire_note(const std::string& wire);

}  // namespace caravan::cli
