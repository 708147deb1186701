// Sends beacons to everybody near, by multicast and broadcast, IPv4 and IPv6, on every interface; and hears
// theirs. Knows nothing of what is in them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/udp.hpp>

#include "base/result.h"
#include "link/beacon.h"
#include "link/interfaces.h"

namespace caravan::link {

struct BeaconPlaces {
  std::uint16_t port = kBeaconPort;
  /// Administratively scoped: never leaves the site, and nobody has to register it (RFC 2365).
  asio::ip::address_v4 group_v4 = asio::ip::make_address_v4("239.255.74.33");
  /// Link-local and transient, of the range that hosts choose for themselves (RFC 4291 2.7, RFC 3307 4.3). A
  /// number of one's own below ff02:: would have to be registered with IANA.
  asio::ip::address_v6 group_v6 = asio::ip::make_address_v6("ff12::8000:7433");
  bool loopback = false;  ///< also over the loopback interface: for several nodes on one device
  std::function<Result<std::vector<InterfaceAddress>>()> interfaces = interface_addresses;
};

struct Datagram {
  std::string bytes;
  std::string host;  ///< whom it is from; of link-local IPv6 with the interface
};

enum class Family { v4, v6 };

/// One for a node, on its loop, which has to be one thread.
class BeaconSocket {
 public:
  /// Code::unavailable when the port belongs to another program or neither IPv4 nor IPv6 can be had. One of
  /// both is enough.
  static Result<std::unique_ptr<BeaconSocket>> open(const asio::any_io_executor& executor,
                                                    BeaconPlaces places);

  bool has(Family family) const { return socket_of(family).has_value(); }

  /// Waits for the next datagram; longer ones than kMaxBeaconBytes are dropped. Code::disconnected after
  /// close() and without such a socket. One coroutine at a time for each family.
  asio::awaitable<Result<Datagram>> receive(Family family);

  /// To everybody; how many datagrams went out. Those that cannot are no error: an interface may just have
  /// vanished. Does not block: what the system has no room for is lost.
  std::size_t send(std::string_view bytes);

  /// Looks for interfaces again and joins the groups on new ones. True when anything differs from the last
  /// time.
  bool rescan();
  const std::vector<InterfaceAddress>& addresses() const { return addresses_; }

  void close();

 private:
  using udp = asio::ip::udp;

  explicit BeaconSocket(BeaconPlaces places) : places_(std::move(places)) {}
  const std::optional<udp::socket>& socket_of(Family family) const {
    return family == Family::v4 ? v4_ : v6_;
  }
  Result<udp::socket> bind(const asio::any_io_executor& executor, const udp::endpoint& here) const;
  std::optional<udp::socket>& socket_for(const InterfaceAddress& address) {
    return address.address.is_v4() ? v4_ : v6_;
  }
  std::size_t send_v4(const InterfaceAddress& from, std::string_view bytes);
  std::size_t send_v6(const InterfaceAddress& from, std::string_view bytes);
  bool is_used(const InterfaceAddress& address) const {
    return address.is_loopback ? places_.loopback : address.is_shared;
  }

  BeaconPlaces places_;
  std::optional<udp::socket> v4_;
  std::optional<udp::socket> v6_;
  std::vector<InterfaceAddress> addresses_;  ///< that are used
};

}  // namespace caravan::link
