// `caravan chat`: talks to the model through an OpenAI-compatible API, this device's own by default.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace caravan::cli {

void add_chat(CLI::App& root, const std::function<void(std::function<int()>)>& run);

}  // namespace caravan::cli
