#include "app/conditions.h"

#include <gtest/gtest.h>

namespace caravan::app {
namespace {

using std::chrono::seconds;

const link::MembershipSummary kOwn{"c", 5, "aa"};

cluster::Condition holding(std::uint64_t version, const std::string& digest) {
  cluster::Condition condition;
  condition.membership_version = version;
  condition.membership_digest = digest;
  return condition;
}

link::DialReport failed(const std::string& device) {
  return {device, "10.0.0.7", 7433, link::DialOutcome::refused,
          Error{Code::unavailable, "nobody listens", ""}};
}

TEST(Conditions, OfADeviceThatIsGoneOnlyThePlaceIsStillWorthSomething) {
  Conditions all("self");
  cluster::Condition told;
  told.addresses.push_back({"10.0.0.7", 24});
  all.linked("b", "");
  all.heard("b", told, kOwn, TimePoint{});
  ASSERT_NE(all.now_of("b"), nullptr);
  all.lost("b");
  EXPECT_EQ(all.now_of("b"), nullptr);
  ASSERT_NE(all.last_of("b"), nullptr);
  EXPECT_EQ(all.last_of("b")->addresses.front().address, "10.0.0.7");
  all.forget("b");
  EXPECT_EQ(all.last_of("b"), nullptr);
}

TEST(Conditions, ADisagreementIsCountedFromItsBeginning) {
  Conditions all("self");
  const TimePoint start{};
  all.linked("b", "");
  all.heard("b", holding(5, "aa"), kOwn, start);
  EXPECT_FALSE(all.disagrees("b", start));
  all.heard("b", holding(4, "bb"), kOwn, start + seconds(5));
  all.heard("b", holding(4, "bb"), kOwn, start + seconds(10));
  EXPECT_EQ(all.disagrees("b", start + seconds(12)), seconds(7));
  all.heard("b", holding(5, "aa"), kOwn, start + seconds(15));
  EXPECT_FALSE(all.disagrees("b", start + seconds(15)));
  all.heard("b", holding(5, "cc"), kOwn, start + seconds(20));
  EXPECT_TRUE(all.disagrees("b", start + seconds(20))) << "as long, but another";
  all.lost("b");
  EXPECT_FALSE(all.disagrees("b", start + seconds(30)));
  all.linked("b", "");
  all.heard("b", holding(0, ""), kOwn, start + seconds(40));
  EXPECT_FALSE(all.disagrees("b", start + seconds(40))) << "it does not tell";
}

TEST(Conditions, TriesAreToldOnWithTheirAge) {
  Conditions all("self");
  const TimePoint start{};
  all.tried(failed("c"), start);
  all.linked("b", "");
  cluster::Condition told;
  told.ways.push_back({"b", "c", "10.0.0.7:7433", link::DialOutcome::timed_out, "no answer", 3});
  told.ways.push_back({"d", "c", "10.0.0.7:7433", link::DialOutcome::refused, "", 3});
  all.heard("b", told, kOwn, start + seconds(10));
  const auto ways = all.ways(start + seconds(12));
  ASSERT_EQ(ways.size(), 2U) << "its own and b's; what d has told b is b's to know";
  EXPECT_EQ(ways[0].from, "self");
  EXPECT_EQ(ways[0].address, "10.0.0.7:7433");
  EXPECT_EQ(ways[0].why, "nobody listens");
  EXPECT_EQ(ways[0].age, 12);
  EXPECT_EQ(ways[1].from, "b");
  EXPECT_EQ(ways[1].age, 5);
  const auto relayed = all.way("d", "c", start + seconds(10));
  ASSERT_TRUE(relayed);
  EXPECT_EQ(relayed->outcome, link::DialOutcome::refused);
  EXPECT_FALSE(all.way("c", "self", start));
}

TEST(Conditions, ALinkEndsTheTriesAndKeepsWhereItCameFrom) {
  Conditions all("self");
  all.tried(failed("c"), TimePoint{});
  all.tried(failed(""), TimePoint{});
  EXPECT_EQ(all.ways(TimePoint{}).size(), 1U);
  all.linked("c", "192.168.1.7");
  EXPECT_TRUE(all.ways(TimePoint{}).empty());
  all.linked("c", "");
  EXPECT_EQ(all.came_from("c"), "192.168.1.7");
  EXPECT_EQ(all.came_from("d"), "");
  cluster::Condition told;
  told.addresses.push_back({"10.0.0.9", 24});
  all.heard("c", told, kOwn, TimePoint{});
  EXPECT_EQ(all.came_from("c"), "192.168.1.7") << "a router has replaced it";
  told.addresses.push_back({"192.168.1.7", 24});
  all.heard("c", told, kOwn, TimePoint{});
  EXPECT_EQ(all.came_from("c"), "");
}

TEST(Conditions, ATryThatHasLedToALinkIsNotTold) {
  Conditions all("self");
  all.tried(failed("c"), TimePoint{});
  all.linked("c", "");
  all.tried({"c", "10.0.0.7", 7433, link::DialOutcome::connected, std::nullopt}, TimePoint{});
  all.lost("c");
  EXPECT_FALSE(all.way("self", "c", TimePoint{}));
  EXPECT_TRUE(all.ways(TimePoint{}).empty());
}

TEST(Conditions, WaysAreBounded) {
  Conditions all("self");
  for (int i = 0; i < 300; ++i) all.tried(failed("d" + std::to_string(i)), TimePoint{});
  EXPECT_EQ(all.ways(TimePoint{}).size(), cluster::kMostWays);
}

TEST(Conditions, WhoReachesADeviceHasToBeLinked) {
  Conditions all("self");
  all.linked("b", "");
  all.reaches("b", {"c"});
  EXPECT_EQ(all.who_reaches("c"), std::vector<std::string>{"b"});
  all.lost("b");
  EXPECT_TRUE(all.who_reaches("c").empty());
}

TEST(Conditions, BandwidthIsThatOfTheSlowerDirectionWhoeverHasMeasuredIt) {
  Conditions all("self");
  EXPECT_FALSE(all.bandwidth("self", "b"));
  all.measured({"b", 3e6, 2e6});
  EXPECT_EQ(all.bandwidth("self", "b"), 2e6);
  EXPECT_EQ(all.bandwidth("b", "self"), 2e6);
  EXPECT_EQ(all.links(), (std::vector<cluster::MeasuredLink>{{"b", 3e6, 2e6}}));
  all.linked("c", "");
  cluster::Condition told;
  told.links = {{"d", 5e6, 9e6}, {"self", 1e6, 4e6}};
  all.heard("c", told, kOwn, TimePoint{});
  EXPECT_EQ(all.bandwidth("d", "c"), 5e6);
  EXPECT_EQ(all.bandwidth("self", "c"), 1e6);
  all.lost("c");
  EXPECT_FALSE(all.bandwidth("c", "d"));
  all.measured({"e", 0, 0});
  EXPECT_FALSE(all.bandwidth("self", "e"));
}

TEST(Conditions, HandlingIsTheMedianOfWhatIsKnown) {
  Conditions all("self");
  EXPECT_FALSE(all.handling(std::nullopt));
  EXPECT_EQ(all.handling(0.003), 0.003);
  for (const auto& [device, shown] : {std::pair("b", 0.001), std::pair("c", 0.009)}) {
    all.linked(device, "");
    cluster::Condition told;
    told.handling = shown;
    all.heard(device, told, kOwn, TimePoint{});
  }
  EXPECT_EQ(all.handling(0.003), 0.003);
  EXPECT_EQ(all.handling(std::nullopt), 0.001);
  all.lost("b");
  EXPECT_EQ(all.handling(std::nullopt), 0.009) << "only of who is there";
}

}  // namespace
}  // namespace caravan::app
