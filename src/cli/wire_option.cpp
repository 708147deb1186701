#include "cli/wire_option.h"

#include <fmt/format.h>

namespace caravan::cli {

void add_wire_option(CLI::App& command, std::string& wire) {
  command
      .add_option(
          "--wire", wire,
          "How hidden states travel between the fabric's workers: f32 as they are, f16 or q8_0 in half or "
          "a quarter of the bytes; measured with SmolLM2-135M on 3 devices: perplexity +F16 % and +Q8 %")
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}))
      ->capture_default_str();
}

Result<void> check_wire(const std::string& wire, const std::string& data_path) {
  if (wire == "f32" || data_path != "rpc") return {};
  return Error{Code::invalid,
               fmt::format("--wire {} needs the fabric: llama.cpp's RPC sends all as it is", wire),
               "add --data-path fabric"};
}

std::string wire_note(const std::string& wire) { return {}; }

}  // namespace caravan::cli
