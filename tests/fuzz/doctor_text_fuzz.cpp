// What the system and its programs say: every text that src/doctor reads itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "device/mounts.h"
#include "doctor/android_checks.h"
#include "doctor/listeners.h"
#include "doctor/memory_checks.h"
#include "doctor/network_checks.h"
#include "doctor/power_checks.h"
#include "doctor/reachability.h"

using namespace caravan;
using namespace caravan::doctor;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto table :
       {ListenerTable::tcp4, ListenerTable::tcp6, ListenerTable::udp4, ListenerTable::udp6}) {
    for (const Listener& one : parse_listeners(text, table)) (void)one.owner();
  }
  const auto swap = parse_swap(text);
  if (swap && swap->free > swap->total) std::abort();
  const auto mounts = device::parse_mounts(text);
  for (const device::Mount& mount : mounts) {
    if (!mount.point.empty() && mount.point.front() == '/' && !device::mount_of(mounts, mount.point))
      std::abort();
  }
  for (const std::string& interface : parse_default_routes(text)) (void)kind_of(interface);
  (void)parse_power_save(text);
  (void)parse_saver(text);
  (void)parse_switch(text);
  (void)parse_battery_whitelist(text);
  const std::size_t half = size / 2;
  const NetworkAddress a{std::string(text.substr(0, half)), static_cast<int>(size)};
  const NetworkAddress b{std::string(text.substr(half)), 24};
  if (same_network(a, b) != same_network(b, a)) std::abort();
  (void)is_private(text);
  return 0;
}
