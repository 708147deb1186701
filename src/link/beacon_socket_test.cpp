#include "link/beacon_socket.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <gmock/gmock.h>

#include "link/beacon_testing.h"

namespace caravan::link {
namespace {

using testing_support::loopback_only;
using testing_support::places;
using udp = asio::ip::udp;

constexpr std::chrono::seconds kHang{20};

/// What arrives at a socket, up to `count` datagrams.
struct Listener {
  std::vector<Datagram> heard;
  std::optional<Error> ended;

  void start(asio::io_context& loop, BeaconSocket& socket, Family family, std::size_t count) {
    asio::co_spawn(
        loop,
        [](Listener& self, BeaconSocket& from, Family of, std::size_t most) -> asio::awaitable<void> {
          while (self.heard.size() < most) {
            auto datagram = co_await from.receive(of);
            if (!datagram.ok()) {
              self.ended = datagram.error();
              co_return;
            }
            self.heard.push_back(std::move(*datagram));
          }
        }(*this, socket, family, count),
        asio::detached);
  }
};

std::unique_ptr<BeaconSocket> open(asio::io_context& loop, const BeaconPlaces& where) {
  auto socket = BeaconSocket::open(loop.get_executor(), where);
  EXPECT_TRUE(socket.ok()) << socket.error().message;
  return std::move(*socket);
}

TEST(BeaconSocket, WhatOneSendsToTheGroupAllHear) {
  asio::io_context loop(1);
  const BeaconPlaces where = places();
  auto one = open(loop, where);
  auto other = open(loop, where);
  Listener first;
  Listener second;
  first.start(loop, *one, Family::v4, 1);
  second.start(loop, *other, Family::v4, 1);
  EXPECT_EQ(one->send("hello"), 1U);
  loop.run_for(kHang);
  ASSERT_EQ(first.heard.size(), 1U) << "one's own comes back: others on this device hear it the same way";
  ASSERT_EQ(second.heard.size(), 1U);
  EXPECT_EQ(second.heard.front().bytes, "hello");
  EXPECT_EQ(second.heard.front().host, "127.0.0.1");
}

TEST(BeaconSocket, WhatIsTooLongIsDropped) {
  asio::io_context loop(1);
  const BeaconPlaces where = places();
  auto socket = open(loop, where);
  Listener listener;
  listener.start(loop, *socket, Family::v4, 2);
  udp::socket sender(loop, udp::endpoint(asio::ip::address_v4::loopback(), 0));
  const udp::endpoint to(asio::ip::address_v4::loopback(), where.port);
  for (const std::string& bytes :
       {std::string(513, 'x'), std::string(512, 'y'), std::string(9'000, 'x'), std::string()}) {
    EXPECT_EQ(sender.send_to(asio::buffer(bytes), to), bytes.size());
  }
  loop.run_for(kHang);
  ASSERT_EQ(listener.heard.size(), 2U);
  EXPECT_EQ(listener.heard[0].bytes, std::string(512, 'y'));
  EXPECT_EQ(listener.heard[1].bytes, "");
}

TEST(BeaconSocket, HearsIpv6Too) {
  asio::io_context loop(1);
  const BeaconPlaces where = places();
  auto socket = open(loop, where);
  udp::socket sender(loop);
  boost::system::error_code failure;
  (void)sender.open(udp::v6(), failure);
  if (!failure) (void)sender.bind(udp::endpoint(asio::ip::address_v6::loopback(), 0), failure);
  if (failure) {  // a kernel without IPv6: then there is only the other family
    EXPECT_TRUE(socket->has(Family::v4));
    return;
  }
  ASSERT_TRUE(socket->has(Family::v6));
  Listener listener;
  listener.start(loop, *socket, Family::v6, 1);
  const udp::endpoint to(asio::ip::address_v6::loopback(), where.port);
  EXPECT_EQ(sender.send_to(asio::buffer(std::string("six")), to), 3U);
  loop.run_for(kHang);
  ASSERT_EQ(listener.heard.size(), 1U);
  EXPECT_EQ(listener.heard.front().host, "::1");
}

TEST(BeaconSocket, ClosingEndsWhoeverListens) {
  asio::io_context loop(1);
  auto socket = open(loop, places());
  Listener listener;
  listener.start(loop, *socket, Family::v4, 1);
  asio::post(loop, [&] { socket->close(); });
  loop.run_for(kHang);
  ASSERT_TRUE(listener.ended.has_value());
  EXPECT_EQ(listener.ended->code, Code::disconnected);
  EXPECT_EQ(socket->send("x"), 0U);
}

TEST(BeaconSocket, FollowsInterfacesThatComeAndGo) {
  asio::io_context loop(1);
  BeaconPlaces where = places();
  std::vector<InterfaceAddress> now;
  where.interfaces = [&]() -> Result<std::vector<InterfaceAddress>> {
    if (now.empty()) return Error{Code::unavailable, "no address", ""};
    return now;
  };
  auto socket = open(loop, where);
  EXPECT_THAT(socket->addresses(), testing::IsEmpty());
  EXPECT_EQ(socket->send("into the void"), 0U);
  EXPECT_FALSE(socket->rescan());
  now = loopback_only().value();
  EXPECT_TRUE(socket->rescan());
  EXPECT_FALSE(socket->rescan());
  Listener listener;
  listener.start(loop, *socket, Family::v4, 1);
  EXPECT_EQ(socket->send("back"), 1U);
  loop.run_for(kHang);
  EXPECT_EQ(listener.heard.size(), 1U);
  now.clear();
  EXPECT_TRUE(socket->rescan());
  EXPECT_EQ(socket->send("gone"), 0U);
}

TEST(BeaconSocket, NothingGoesToMobileNetworksOrWithoutBeingAskedToLoopback) {
  asio::io_context loop(1);
  BeaconPlaces where = places();
  InterfaceAddress mobile;
  mobile.interface = "rmnet0";
  mobile.index = 7;
  mobile.address = asio::ip::make_address("100.64.0.9");
  mobile.is_shared = false;
  where.loopback = false;
  where.interfaces = [mobile]() -> Result<std::vector<InterfaceAddress>> {
    auto all = loopback_only().value();
    all.push_back(mobile);
    return all;
  };
  auto socket = open(loop, where);
  EXPECT_THAT(socket->addresses(), testing::IsEmpty());
  EXPECT_EQ(socket->send("x"), 0U);
}

TEST(BeaconSocket, APortThatAnotherProgramHasIsNamed) {
  asio::io_context loop(1);
  const BeaconPlaces where = places();
  udp::socket v4(loop, udp::endpoint(udp::v4(), where.port));  // without sharing it
  boost::system::error_code failure;
  udp::socket v6(loop);
  (void)v6.open(udp::v6(), failure);
  if (!failure) (void)v6.set_option(asio::ip::v6_only(true), failure);
  if (!failure) (void)v6.bind(udp::endpoint(udp::v6(), where.port), failure);
  const auto socket = BeaconSocket::open(loop.get_executor(), where);
  ASSERT_FALSE(socket.ok());
  EXPECT_EQ(socket.error().code, Code::unavailable);
  EXPECT_THAT(socket.error().message, testing::HasSubstr(std::to_string(where.port)));
}

}  // namespace
}  // namespace caravan::link
