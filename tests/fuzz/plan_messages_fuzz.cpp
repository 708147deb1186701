// Plans and the requests for them, as they come from another device. What is accepted must survive the way
// back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cluster/plan_messages.h"

namespace {

/// The way over a socket.
caravan::Json sent(const caravan::Json& message) {
  const auto received = caravan::parse_json(caravan::dump_json(message), 1U << 24U);
  if (!received) std::abort();
  return *received;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan;
  const auto json = parse_json(std::string_view(reinterpret_cast<const char*>(data), size), 1U << 20U);
  if (!json) return 0;
  if (const auto planned = cluster::planned_from_json(*json)) {
    const auto again = cluster::planned_from_json(sent(cluster::to_json(*planned)));
    if (!again || sent(cluster::to_json(*again)) != sent(cluster::to_json(*planned))) std::abort();
  }
  if (const auto request = cluster::plan_request_from_json(*json)) {
    const auto again = cluster::plan_request_from_json(sent(cluster::to_json(*request)));
    if (!again || again->wish != request->wish || again->holders != request->holders) std::abort();
  }
  return 0;
}
