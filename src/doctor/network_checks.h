// Is this device on a network where others reach it, and how good is its Wi-Fi?
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "device/system_view.h"
#include "device/wifi.h"
#include "doctor/check.h"

namespace caravan::doctor {

/// What kind of network an interface belongs to, by its name: names are the system's habit, not a standard.
enum class InterfaceKind {
  lan,
  mobile,  ///< the provider's network: nobody at home reaches it
  vpn,
  hotspot,  ///< this device is the access point
  inner,    ///< bridges and the like of containers and virtual machines
};
InterfaceKind kind_of(std::string_view interface);

/// Interfaces with a default route in /proc/net/route (proc_net(5)), each once, in the kernel's order.
std::vector<std::string> parse_default_routes(std::string_view text);
/// `iw dev NAME get power_save` prints "Power save: on" or "off".
std::optional<bool> parse_power_save(std::string_view text);

struct NetworkState {
  bool android = false;
  Result<std::vector<device::Address>> addresses;
  std::vector<std::string> default_routes;  ///< empty: not known
  std::optional<device::WifiFacts> wifi;
  device::HiddenFacts hidden;
  std::string wifi_interface;      ///< "wlan0"; empty: not known
  std::optional<bool> power_save;  ///< of the Wi-Fi; nothing: the system does not tell
};

/// Pure.
Finding network_address(const NetworkState& state);
Finding network_vpn(const NetworkState& state);
Finding several_networks(const NetworkState& state);
Finding hotspot_host(const NetworkState& state);
Finding wifi_band(const NetworkState& state);
Finding wifi_signal(const NetworkState& state);
Finding wifi_rate(const NetworkState& state);
Finding wifi_power_save(const NetworkState& state);

/// Runs one or two programs: blocks for some seconds.
NetworkState read_network_state(const device::SystemView& system);

Step network_step(device::SystemView system);

}  // namespace caravan::doctor
