// Any bytes as beacons from many hosts, and as the file of known addresses.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "link/arrival_limit.h"
#include "link/beacon.h"
#include "link/known_addresses.h"
#include "link/neighbours.h"

using namespace caravan;
using namespace caravan::link;

namespace {

void check_beacon(std::string_view datagram) {
  const auto beacon = decode_beacon(datagram);
  if (!beacon) {
    if (beacon.error().message.empty()) std::abort();
    return;
  }
  const auto again = encode_beacon(*beacon);
  if (!again || again->size() > datagram.size() || decode_beacon(*again).value() != *beacon) std::abort();
}

/// The bytes as a series of beacons: each changes the id, and comes from a host and at a time that follow
/// from it.
void check_table(std::string_view bytes) {
  TimePoint now{std::chrono::hours(1)};
  NeighbourLimits limits;
  limits.devices = 8;
  limits.devices_of_host = 3;
  limits.addresses = 2;
  NeighbourTable table("aaaabbbbccccddddeeeeffff22223333", limits);
  table.set_members({"bbbbbbbbccccddddeeeeffff22223333"});
  ArrivalLimit limit(now);
  Beacon beacon;
  beacon.link_port = 1;
  for (const char c : bytes.substr(0, 512)) {
    const auto value = static_cast<unsigned char>(c);
    beacon.device = "aaaabbbbccccddddeeeeffff22223333";
    beacon.device[0] = static_cast<char>('a' + value % 20);
    beacon.device[1] = static_cast<char>(value % 2 == 0 ? 'b' : 'a');
    const std::string host =
        value % 3 == 0 ? "fe80::" + std::to_string(value) + "%w" : "10.0.0." + std::to_string(value % 7);
    now += std::chrono::milliseconds(value * 20);
    (void)limit.admit(host, now);
    (void)table.heard(beacon, host, now);
    if (value % 5 == 0) table.proved(beacon.device, {host, 1}, now);
    if (value % 11 == 0) table.failed(beacon.device, {host, 1});
    (void)table.expire(now);
    if (table.size() > limits.devices) std::abort();
    for (const Neighbour& each : table.list()) {
      if (each.addresses.size() > limits.addresses) std::abort();
    }
    if (const auto next = table.next_deadline(); next && *next <= now) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_beacon(text);
  check_table(text);
  const auto known = KnownAddresses::parse(text);
  if (!known) return 0;
  const auto again = KnownAddresses::parse(known->json());
  if (!again || again->json() != known->json()) std::abort();
  return 0;
}
