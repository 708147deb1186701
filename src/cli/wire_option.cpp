#include "cli/wire_option.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace caravan::cli {
namespace {

/// `./run bench wire` with SmolLM2-135M on three workers and Gemma-3-270M on two:
/// lab/results/fabric-wire-2026-11-27.md. Changes against f32, with their standard error.
struct Measured {
  std::string_view wire;
  std::string_view perplexity;
  std::string_view bytes;  ///< between workers, of those of f32
};
constexpr std::array<Measured, 2> kMeasured{{
    {"f16", "SmolLM2-135M -0.04 (± 0.12) %, Gemma-3-270M -0.66 (± 0.45) %", "0.50"},
    {"q8_0", "SmolLM2-135M -0.08 (± 0.15) %, Gemma-3-270M +1.17 (± 0.66) %", "0.27"},
}};

std::string effect_of(const Measured& one) {
  return fmt::format("{} in {} of the bytes (perplexity: {})", one.wire, one.bytes, one.perplexity);
}

}  // namespace

void add_wire_option(CLI::App& command, std::string& wire) {
  command
      .add_option("--wire", wire,
                  fmt::format("How the fabric's workers hand hidden states on: f32, as they are; {}; {}",
                              effect_of(kMeasured[0]), effect_of(kMeasured[1])))
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}))
      ->capture_default_str();
}

Result<void> check_wire(const std::string& wire, const std::string& data_path) {
  if (wire == "f32" || data_path != "rpc") return {};
  return Error{Code::invalid,
               fmt::format("--wire {} needs the fabric: llama.cpp's RPC sends all as it is", wire),
               "add --data-path fabric"};
}

std::string wire_note(const std::string& wire) {
  for (const Measured& one : kMeasured) {
    if (one.wire == wire) return fmt::format("hidden states travel as {}\n", effect_of(one));
  }
  return {};
}

}  // namespace caravan::cli
