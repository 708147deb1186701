#include "link/beacon_socket.h"

#include <algorithm>
#include <array>
#include <set>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/multicast.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

namespace caravan::link {
namespace {

namespace multicast = asio::ip::multicast;
using asio::ip::udp;

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
/// Routers send nothing of it on.
constexpr int kHops = 1;
/// Errors of a UDP socket concern one datagram; so many without one that arrives are no chance any more.
constexpr int kMostFailures = 32;

bool send_to(udp::socket& socket, const udp::endpoint& to, std::string_view bytes) {
  boost::system::error_code failure;
  const std::size_t sent = socket.send_to(asio::buffer(bytes), to, 0, failure);
  return !failure && sent == bytes.size();
}

/// Joins or leaves the group on an interface. A failure means that it was so already, or that the interface
/// is gone, and the system has left for us.
template <typename Membership>
void ask(std::optional<udp::socket>& socket, const BeaconPlaces& places, const InterfaceAddress& address) {
  if (!socket) return;
  boost::system::error_code ignored;
  if (address.address.is_v4()) {
    (void)socket->set_option(Membership(places.group_v4, address.address.to_v4()), ignored);
  } else {
    (void)socket->set_option(Membership(places.group_v6, address.index), ignored);
  }
}

bool contains(const std::vector<InterfaceAddress>& list, const InterfaceAddress& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

}  // namespace

Result<udp::socket> BeaconSocket::bind(const asio::any_io_executor& executor,
                                       const udp::endpoint& here) const {
  udp::socket socket(executor);
  boost::system::error_code failure;
  (void)socket.open(here.protocol(), failure);
  const auto set = [&](const auto& option) {
    if (!failure) (void)socket.set_option(option, failure);
  };
  const bool is_v6 = here.address().is_v6();
  if (is_v6) set(asio::ip::v6_only(true));
  // several nodes on one device hear the same groups
  set(udp::socket::reuse_address(true));
  set(multicast::hops(kHops));
  set(multicast::enable_loopback(true));
  if (!is_v6) set(asio::socket_base::broadcast(true));
  if (!failure) (void)socket.non_blocking(true, failure);
  if (!failure) (void)socket.bind(here, failure);
  if (failure) {
    return Error{Code::unavailable,
                 fmt::format("cannot listen for beacons on UDP port {}: {}", here.port(), failure.message()),
                 "another program may have it; without beacons `--peer` says where the others are"};
  }
  return socket;
}

Result<std::unique_ptr<BeaconSocket>> BeaconSocket::open(const asio::any_io_executor& executor,
                                                         BeaconPlaces places) {
  std::unique_ptr<BeaconSocket> made(new BeaconSocket(std::move(places)));
  auto v4 = made->bind(executor, udp::endpoint(udp::v4(), made->places_.port));
  auto v6 = made->bind(executor, udp::endpoint(udp::v6(), made->places_.port));
  if (!v4.ok() && !v6.ok()) return v4.error();
  if (v4.ok()) made->v4_.emplace(std::move(*v4));
  if (v6.ok()) made->v6_.emplace(std::move(*v6));
  (void)made->rescan();
  return made;
}

asio::awaitable<Result<Datagram>> BeaconSocket::receive(Family family) {
  auto& socket = family == Family::v4 ? v4_ : v6_;
  int failures = 0;
  while (socket && socket->is_open() && failures < kMostFailures) {
    std::array<char, kMaxBeaconBytes + 1> buffer{};
    udp::endpoint from;
    auto [failure, length] = co_await socket->async_receive_from(asio::buffer(buffer), from, kUseResult);
    if (failure) {
      ++failures;
      continue;
    }
    if (length > kMaxBeaconBytes) continue;
    Datagram datagram;
    datagram.bytes.assign(buffer.data(), length);
    datagram.host = from.address().to_string();
    co_return datagram;
  }
  co_return Error{Code::disconnected, "the socket for beacons is closed", ""};
}

std::size_t BeaconSocket::send_v4(const InterfaceAddress& from, std::string_view bytes) {
  boost::system::error_code failure;
  (void)v4_->set_option(multicast::outbound_interface(from.address.to_v4()), failure);
  std::size_t sent = 0;
  if (!failure && send_to(*v4_, udp::endpoint(places_.group_v4, places_.port), bytes)) ++sent;
  // many access points lose multicast, and some phones hear only the one or the other while they doze
  const bool is_hidden = from.index == 0;
  if (!from.broadcast && !is_hidden) return sent;
  const auto everybody = from.broadcast.value_or(asio::ip::address_v4::broadcast());
  if (send_to(*v4_, udp::endpoint(everybody, places_.port), bytes)) ++sent;
  return sent;
}

std::size_t BeaconSocket::send_v6(const InterfaceAddress& from, std::string_view bytes) {
  boost::system::error_code failure;
  if (from.index != 0) (void)v6_->set_option(multicast::outbound_interface(from.index), failure);
  asio::ip::address_v6 group = places_.group_v6;
  group.scope_id(from.index);
  return !failure && send_to(*v6_, udp::endpoint(group, places_.port), bytes) ? 1 : 0;
}

std::size_t BeaconSocket::send(std::string_view bytes) {
  std::size_t sent = 0;
  std::set<unsigned int> done;  // IPv6 goes out once an interface, which has several addresses of it
  for (const InterfaceAddress& from : addresses_) {
    if (from.address.is_v4()) {
      if (v4_) sent += send_v4(from, bytes);
    } else if (v6_ && done.insert(from.index).second) {
      sent += send_v6(from, bytes);
    }
  }
  return sent;
}

bool BeaconSocket::rescan() {
  auto found = places_.interfaces();
  std::vector<InterfaceAddress> now;
  if (found.ok()) {
    std::copy_if(found->begin(), found->end(), std::back_inserter(now),
                 [&](const InterfaceAddress& address) { return is_used(address); });
  }
  if (now == addresses_) return false;
  for (const InterfaceAddress& old : addresses_) {
    if (!contains(now, old)) ask<multicast::leave_group>(socket_for(old), places_, old);
  }
  // all of them: an interface has left, perhaps, with an address that is gone, and still has others
  for (const InterfaceAddress& each : now) ask<multicast::join_group>(socket_for(each), places_, each);
  addresses_ = std::move(now);
  return true;
}

void BeaconSocket::close() {
  boost::system::error_code ignored;
  for (auto* socket : {&v4_, &v6_}) {
    if (*socket) (void)(*socket)->close(ignored);
  }
}

}  // namespace caravan::link
