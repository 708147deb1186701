// Assignments and node states, as they come from a socket. What is accepted must survive the way back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cluster/messages.h"

namespace {

/// The way over a socket.
caravan::Json sent(const caravan::Json& message) {
  const auto received =
      caravan::parse_json(caravan::dump_json(message), caravan::cluster::kMaxMessageBytes * 4);
  if (!received) std::abort();
  return *received;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = parse_json(text, cluster::kMaxMessageBytes);
  if (!json) return 0;
  if (const auto assignment = cluster::assignment_from_json(*json)) {
    const auto again = cluster::assignment_from_json(sent(cluster::to_json(*assignment)));
    if (!again || again->order != assignment->order || again->layers != assignment->layers) std::abort();
  }
  if (const auto state = cluster::node_state_from_json(*json)) {
    const auto again = cluster::node_state_from_json(sent(cluster::to_json(*state)));
    if (!again || again->device != state->device || again->phase != state->phase) std::abort();
  }
  return 0;
}
