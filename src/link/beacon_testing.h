// For tests: places for beacons on the loopback interface that no other test uses.
#pragma once

#include <net/if.h>

#include <boost/asio/io_context.hpp>

#include "link/beacon_socket.h"

namespace caravan::link::testing_support {

inline Result<std::vector<InterfaceAddress>> loopback_only() {
  InterfaceAddress lo;
  lo.interface = "lo";
  lo.index = if_nametoindex("lo");
  lo.address = asio::ip::address_v4::loopback();
  lo.is_loopback = true;
  lo.is_shared = false;
  return std::vector<InterfaceAddress>{lo};
}

/// A port that was free a moment ago, and a group that follows from it.
inline BeaconPlaces places() {
  asio::io_context loop(1);
  asio::ip::udp::socket probe(loop, asio::ip::udp::endpoint(asio::ip::udp::v4(), 0));
  BeaconPlaces made;
  made.port = probe.local_endpoint().port();
  made.group_v4 = asio::ip::address_v4(0xEFFF0000U + made.port);  // 239.255.x.y
  made.loopback = true;
  made.interfaces = loopback_only;
  return made;
}

}  // namespace caravan::link::testing_support
