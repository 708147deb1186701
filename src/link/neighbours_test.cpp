#include "link/neighbours.h"

#include <algorithm>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace caravan::link {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

constexpr TimePoint kStart{std::chrono::hours(1)};

std::string id(int number) {
  std::string text = fmt::format("{:032}", number);
  for (char& c : text) c = static_cast<char>('a' + (c - '0'));
  return text;
}

Beacon beacon(int number, const std::string& name = "phone") {
  Beacon made;
  made.device = id(number);
  made.link_port = 7433;
  made.name = name;
  return made;
}

std::vector<std::string> hosts_of(const NeighbourTable& table, int number) {
  std::vector<std::string> hosts;
  const Neighbour* neighbour = table.find(id(number));
  if (neighbour == nullptr) return hosts;
  for (const HeardAddress& each : neighbour->addresses) hosts.push_back(each.address.host);
  return hosts;
}

TEST(Neighbours, SaysWhatIsNew) {
  NeighbourTable table(id(0));
  EXPECT_EQ(table.heard(beacon(0), "10.0.0.1", kStart), Heard::ignored) << "one's own";
  EXPECT_EQ(table.heard(beacon(1), "10.0.0.2", kStart), Heard::appeared);
  EXPECT_EQ(table.heard(beacon(1), "10.0.0.2", kStart + seconds(1)), Heard::repeated);
  EXPECT_EQ(table.heard(beacon(1, "tablet"), "10.0.0.2", kStart + seconds(2)), Heard::changed);
  Beacon open = beacon(1, "tablet");
  open.pairing_open = true;
  EXPECT_EQ(table.heard(open, "10.0.0.2", kStart + seconds(3)), Heard::changed);
  open.cluster = {1};
  EXPECT_EQ(table.heard(open, "10.0.0.2", kStart + seconds(3)), Heard::changed);
  open.link_port = 9000;
  EXPECT_EQ(table.heard(open, "10.0.0.2", kStart + seconds(3)), Heard::changed);
  ASSERT_EQ(table.list().size(), 1U);
  EXPECT_EQ(table.list().front().name, "tablet");
  EXPECT_TRUE(table.list().front().pairing_open);
}

TEST(Neighbours, OneDeviceAtSeveralAddressesIsOneDevice) {
  NeighbourTable table(id(0));
  (void)table.heard(beacon(1), "10.0.0.2", kStart);
  EXPECT_EQ(table.heard(beacon(1), "fe80::2%wlan0", kStart + seconds(1)), Heard::changed);
  EXPECT_EQ(table.size(), 1U);
  EXPECT_THAT(hosts_of(table, 1), ElementsAre("fe80::2%wlan0", "10.0.0.2"));
  table.proved(id(1), {"10.0.0.2", 7433}, kStart + seconds(2));
  (void)table.heard(beacon(1), "fe80::2%wlan0", kStart + seconds(3));
  EXPECT_THAT(hosts_of(table, 1), ElementsAre("10.0.0.2", "fe80::2%wlan0")) << "what was proved comes first";
  table.failed(id(1), {"10.0.0.2", 7433});
  EXPECT_THAT(hosts_of(table, 1), ElementsAre("fe80::2%wlan0"));
}

TEST(Neighbours, AnAddressThatChangedAgesAndTheDeviceStays) {
  NeighbourTable table(id(0));
  (void)table.heard(beacon(1), "10.0.0.2", kStart);
  for (int i = 1; i <= 4; ++i) {
    (void)table.heard(beacon(1), "10.0.0.77", kStart + seconds(10 * i));
    EXPECT_TRUE(table.expire(kStart + seconds(10 * i)).empty());
  }
  EXPECT_THAT(hosts_of(table, 1), ElementsAre("10.0.0.77"));
  ASSERT_TRUE(table.next_deadline().has_value());
  EXPECT_EQ(*table.next_deadline(), kStart + seconds(75));
  EXPECT_TRUE(table.expire(kStart + milliseconds(74'999)).empty());
  EXPECT_THAT(table.expire(kStart + seconds(75)), ElementsAre(id(1)));
  EXPECT_FALSE(table.next_deadline().has_value());
}

TEST(Neighbours, ClaimedAddressesDoNotPushOutOneThatWasProved) {
  NeighbourTable table(id(0));
  (void)table.heard(beacon(1), "10.0.0.2", kStart);
  table.proved(id(1), {"10.0.0.2", 7433}, kStart);
  for (int i = 0; i < 1'000; ++i) {
    (void)table.heard(beacon(1), fmt::format("10.1.{}.{}", i / 250, i % 250), kStart + milliseconds(i));
  }
  const auto hosts = hosts_of(table, 1);
  EXPECT_EQ(hosts.size(), 8U);
  EXPECT_EQ(hosts.front(), "10.0.0.2");
}

TEST(Neighbours, OneHostCannotClaimAWholeStreet) {
  NeighbourTable table(id(0));
  for (int i = 1; i <= 1'000; ++i) (void)table.heard(beacon(i), "10.0.0.66", kStart + milliseconds(i));
  EXPECT_EQ(table.size(), 16U);
  EXPECT_EQ(table.heard(beacon(5'000), "10.0.0.2", kStart + seconds(2)), Heard::appeared);
  // of IPv6 a device has as many addresses as it likes
  for (int i = 2'001; i <= 3'000; ++i) {
    (void)table.heard(beacon(i), fmt::format("2001:db8::{:x}", i), kStart + seconds(2));
    (void)table.heard(beacon(i + 1'000), fmt::format("fe80::{:x}%wlan0", i), kStart + seconds(2));
  }
  EXPECT_EQ(table.size(), 16U + 1 + 16 + 16);
}

TEST(Neighbours, AFloodFromManyHostsLeavesMembersAndLetsNewOnesIn) {
  NeighbourTable table(id(0));
  table.set_members({id(1), id(2), id(9'999)});
  (void)table.heard(beacon(1), "10.0.0.1", kStart);
  (void)table.heard(beacon(2), "10.0.0.66", kStart);
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto host = fmt::format("10.9.0.{}", random() % 60);
    (void)table.heard(beacon(10'000 + static_cast<int>(random() % 5'000)), host, kStart + milliseconds(i));
    ASSERT_LE(table.size(), 128U);
  }
  EXPECT_EQ(table.size(), 128U);
  EXPECT_NE(table.find(id(1)), nullptr);
  EXPECT_NE(table.find(id(2)), nullptr);
  EXPECT_EQ(table.heard(beacon(3), "10.0.0.3", kStart + seconds(20)), Heard::appeared)
      << "a stranger of its own";
  EXPECT_EQ(table.heard(beacon(9'999), "10.9.0.1", kStart + seconds(20)), Heard::appeared) << "a member";
  EXPECT_EQ(table.size(), 128U);
  EXPECT_NE(table.find(id(1)), nullptr);
}

TEST(Neighbours, ATableFullOfMembersIsFull) {
  NeighbourLimits limits;
  limits.devices = 2;
  NeighbourTable table(id(0), limits);
  table.set_members({id(1), id(2), id(3)});
  (void)table.heard(beacon(1), "10.0.0.1", kStart);
  (void)table.heard(beacon(2), "10.0.0.2", kStart);
  EXPECT_EQ(table.heard(beacon(3), "10.0.0.3", kStart), Heard::ignored);
  EXPECT_EQ(table.heard(beacon(4), "10.0.0.4", kStart), Heard::ignored);
}

TEST(Neighbours, WhatIsUnknownCanBeProvedAndFailWithoutHarm) {
  NeighbourTable table(id(0));
  table.proved(id(1), {"10.0.0.1", 7433}, kStart);
  table.failed(id(1), {"10.0.0.1", 7433});
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.find(id(1)), nullptr);
}

}  // namespace
}  // namespace caravan::link
