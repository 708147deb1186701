// The network interfaces of this device and their addresses, as far as the system tells.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <boost/asio/ip/address.hpp>

#include "base/result.h"

namespace caravan::link {

namespace asio = boost::asio;

/// One address of one interface.
struct InterfaceAddress {
  std::string interface;   ///< "wlan0"; "" where the system hides it
  unsigned int index = 0;  ///< of the interface; 0 where the system hides it
  asio::ip::address address;
  std::optional<asio::ip::address_v4> broadcast;
  bool is_loopback = false;
  /// Others are on it too, and reached by broadcast: no mobile network, no VPN. True where the system hides
  /// it.
  bool is_shared = true;
  int prefix = 0;  ///< length of the network's prefix; 0 where the system hides it

  bool operator==(const InterfaceAddress&) const = default;
};

/// Of all interfaces that are up, ordered by interface and address. Where the system does not list them (some
/// versions of Android hide netlink) only the addresses that the default routes lead out of.
/// Code::unavailable when there is not even one. Does not block.
Result<std::vector<InterfaceAddress>> interface_addresses();

/// The second way alone: what a UDP socket that is connected to somewhere far away is bound to. Sends
/// nothing.
std::vector<InterfaceAddress> default_route_addresses();

}  // namespace caravan::link
