#include "link/interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <tuple>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

#include "base/files.h"

namespace caravan::link {
namespace {

using asio::ip::udp;

/// Addresses for documentation (RFC 5737, RFC 3849): nobody is there, but routes lead there.
constexpr std::array<const char*, 2> kFarAway{"192.0.2.1", "2001:db8::1"};

std::optional<asio::ip::address_v4> v4_of(const sockaddr* address) {
  if (address == nullptr || address->sa_family != AF_INET) return std::nullopt;
  sockaddr_in value{};
  std::memcpy(&value, address, sizeof value);
  return asio::ip::address_v4(ntohl(value.sin_addr.s_addr));
}

std::optional<asio::ip::address_v6> v6_of(const sockaddr* address) {
  if (address == nullptr || address->sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 value{};
  std::memcpy(&value, address, sizeof value);
  asio::ip::address_v6::bytes_type bytes{};
  std::memcpy(bytes.data(), &value.sin6_addr, bytes.size());
  return asio::ip::address_v6(bytes, value.sin6_scope_id);
}

/// The network's broadcast address, where the interface has one. A tunnel interface (TUN) is point-to-point
/// by its flags; one that carries a whole network has been given a broadcast address all the same, a VPN's
/// has not: there the field holds the other end.
std::optional<asio::ip::address_v4> broadcast_of(const ifaddrs& entry) {
  auto known = v4_of(entry.ifa_broadaddr);
  if ((entry.ifa_flags & IFF_BROADCAST) != 0 || !known) return known;
  const auto own = v4_of(entry.ifa_addr);
  const auto mask = v4_of(entry.ifa_netmask);
  const bool is_last = own && mask && known->to_uint() == (own->to_uint() | ~mask->to_uint());
  return is_last && *known != *own ? known : std::nullopt;
}

/// The ones at the beginning of a netmask.
template <typename Mask>
int prefix_of(const std::optional<Mask>& mask) {
  if (!mask) return 0;
  int bits = 0;
  for (const unsigned char byte : mask->to_bytes()) bits += std::popcount(byte);
  return bits;
}

std::optional<InterfaceAddress> read_entry(const ifaddrs& entry) {
  if ((entry.ifa_flags & IFF_UP) == 0 || entry.ifa_name == nullptr) return std::nullopt;
  InterfaceAddress found;
  found.interface = entry.ifa_name;
  found.index = if_nametoindex(entry.ifa_name);
  found.is_loopback = (entry.ifa_flags & IFF_LOOPBACK) != 0;
  found.is_shared = (entry.ifa_flags & IFF_BROADCAST) != 0 && (entry.ifa_flags & IFF_POINTOPOINT) == 0;
  if (const auto v4 = v4_of(entry.ifa_addr)) {
    found.address = *v4;
    found.broadcast = broadcast_of(entry);
    found.prefix = prefix_of(v4_of(entry.ifa_netmask));
    found.is_shared = found.is_shared || found.broadcast.has_value();
    return found;
  }
  if (const auto v6 = v6_of(entry.ifa_addr)) {
    found.address = *v6;
    found.prefix = prefix_of(v6_of(entry.ifa_netmask));
    return found;
  }
  return std::nullopt;
}

std::vector<InterfaceAddress> listed_addresses() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> all(first, freeifaddrs);
  std::vector<InterfaceAddress> found;
  for (const ifaddrs* entry = all.get(); entry != nullptr; entry = entry->ifa_next) {
    if (auto address = read_entry(*entry)) found.push_back(std::move(*address));
  }
  return found;
}

}  // namespace

std::vector<InterfaceAddress> default_route_addresses() {
  std::vector<InterfaceAddress> found;
  asio::io_context loop(1);
  for (const char* far : kFarAway) {
    boost::system::error_code failure;
    const udp::endpoint there(asio::ip::make_address(far), 9);  // port of the discard service
    udp::socket socket(loop);
    (void)socket.open(there.protocol(), failure);
    if (!failure) (void)socket.connect(there, failure);
    if (failure) continue;
    const udp::endpoint here = socket.local_endpoint(failure);
    if (failure || here.address().is_unspecified()) continue;
    InterfaceAddress address;
    address.address = here.address();
    address.is_loopback = here.address().is_loopback();
    found.push_back(std::move(address));
  }
  return found;
}

Result<std::vector<InterfaceAddress>> interface_addresses() {
  std::vector<InterfaceAddress> found = listed_addresses();
  const bool is_hidden =
      std::all_of(found.begin(), found.end(), [](const InterfaceAddress& each) { return each.is_loopback; });
  if (is_hidden) {
    for (InterfaceAddress& each : default_route_addresses()) found.push_back(std::move(each));
  }
  if (found.empty()) {
    return Error{Code::unavailable, "this device has no network address",
                 "connect it to the Wi-Fi of the others"};
  }
  std::sort(found.begin(), found.end(), [](const InterfaceAddress& a, const InterfaceAddress& b) {
    return std::tie(a.index, a.interface, a.address) < std::tie(b.index, b.interface, b.address);
  });
  return found;
}

}  // namespace caravan::link
