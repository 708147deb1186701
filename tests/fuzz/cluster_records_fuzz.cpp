// A device's card, its condition, a request of a person's and the record of what the cluster should do, as
// they come from a socket or the disk. What is accepted must survive the way back, and fit into the file that
// it is kept in.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cluster/card.h"
#include "cluster/condition.h"
#include "cluster/desired.h"
#include "cluster/wish_change.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan;
  const auto json = parse_json(std::string_view(reinterpret_cast<const char*>(data), size), 1U << 20U);
  if (!json) return 0;
  if (const auto desired = cluster::desired_from_json(*json)) {
    const std::string written = dump_json(cluster::to_json(*desired)) + "\n";
    const auto kept = parse_json(written, cluster::kMaxDesiredBytes);
    if (!kept) std::abort();
    const auto again = cluster::desired_from_json(*kept);
    if (!again || *again != *desired || cluster::is_newer(*again, *desired)) std::abort();
  }
  if (const auto change = cluster::wish_change_from_json(*json)) {
    const auto sent = parse_json(dump_json(cluster::to_json(*change)), 1U << 24U);
    if (!sent) std::abort();
    const auto again = cluster::wish_change_from_json(*sent);
    if (!again || *again != *change || !cluster::leaves_others(*change)) std::abort();
  }
  if (const auto card = cluster::card_from_json(*json)) {
    const auto sent = parse_json(dump_json(cluster::to_json(*card)), 1U << 24U);
    if (!sent) std::abort();
    const auto again = cluster::card_from_json(*sent);
    if (!again || again->models != card->models || again->can_carry() != card->can_carry()) std::abort();
  }
  if (const auto condition = cluster::condition_from_json(*json)) {
    const auto sent = parse_json(dump_json(cluster::to_json(*condition)), 1U << 24U);
    if (!sent) std::abort();
    const auto again = cluster::condition_from_json(*sent);
    if (!again || again->ways.size() != condition->ways.size() || again->rates != condition->rates)
      std::abort();
  }
  return 0;
}
