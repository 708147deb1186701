// A model in miniature that two stages compute, run by ggml's scheduler as llama.cpp runs it: loaded, warmed
// up, a prompt in one batch, then one token after the other, each of which depends on all before it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fabric/module/plan.h"

namespace caravan::fabric::soak {

/// What a run came to.
struct Run {
  bool opened = false;               ///< all connections were made
  bool failed = false;               ///< after that something was said to have failed
  std::vector<std::string> results;  ///< of the steps that were said to be done: their bytes
};

constexpr int kSteps = 6;  ///< results of a run without faults

/// The model's file, for weights by reference.
void write_miniature(const std::filesystem::path& file);
/// Over the fabric. With a model in the plan weights go by reference. Blocks.
Run run_miniature(const Plan& plan, const std::string& engine);
/// Here, without the fabric.
std::vector<std::string> compute_miniature();

}  // namespace caravan::fabric::soak
