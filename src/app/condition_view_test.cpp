#include "app/condition_view.h"

#include <gtest/gtest.h>

namespace caravan::app {
namespace {

TEST(ConditionView, ShowsWhatADeviceTellsAndNothingElse) {
  cluster::Condition condition;
  Json device;
  add_condition(device, condition);
  EXPECT_TRUE(device.empty()) << device;
  condition.battery_celsius = 41.5;
  condition.processor_celsius = 60;
  condition.battery_percent = 73;
  condition.charging = false;
  condition.rates = cluster::AnswerRates{{9, 80}, {8, 70}, 1};
  add_condition(device, condition);
  EXPECT_EQ(device,
            Json::parse(R"({"celsius":41.5,"battery_celsius":41.5,"processor_celsius":60.0,"percent":73,
    "charging":false,"rates":{"last":{"decode":9.0,"prefill":80.0},"minute":{"decode":8.0,"prefill":70.0},"requests":1}})"));
}

TEST(ConditionView, ADepartureFromThePlanIsToldInWordsToo) {
  cluster::Condition condition;
  condition.speed = cluster::SpeedNote{10, 20, cluster::SpeedNote::State::stays};
  Json device;
  add_condition(device, condition);
  EXPECT_EQ(device["speed"]["state"], "stays");
  EXPECT_EQ(device["speed"]["measured"], 10.0);
  EXPECT_EQ(device["speed"]["planned"], 20.0);
  EXPECT_EQ(device["speed"]["text"], describe(*condition.speed));
}

TEST(ConditionView, WhyADeviceShouldCarryLittle) {
  cluster::DeviceBand state;
  cluster::Condition condition;
  Json device;
  state.update(condition, TimePoint{});
  add_band(device, state);
  EXPECT_TRUE(device.empty());
  condition.battery_celsius = 43;
  state.update(condition, TimePoint{});
  add_band(device, state);
  EXPECT_EQ(device["band"]["name"], "hot");
  EXPECT_EQ(device["band"]["why"], state.why());
}

TEST(ConditionView, TrafficThatIsNoneIsNotShown) {
  Json device;
  add_traffic(device, {});
  EXPECT_TRUE(device.empty());
  add_traffic(device, {5, 7});
  EXPECT_EQ(device, Json::parse(R"({"traffic":{"in":5.0,"out":7.0}})"));
}

TEST(ConditionView, WaysBothWaysBandwidthAndDisagreement) {
  Conditions all("a");
  const TimePoint start{};
  Json device;
  add_ways(device, "a", "b", all, start);
  EXPECT_TRUE(device.empty());
  all.tried({"b", "10.0.0.2", 7433, link::DialOutcome::refused, Error{Code::unavailable, "no\x1b", ""}},
            start);
  all.linked("c", "");
  cluster::Condition told;
  told.ways.push_back({"b", "a", "10.0.0.1:7433", link::DialOutcome::timed_out, "", 4});
  all.heard("c", told, {"", 1, ""}, start);
  all.measured({"b", 2e6, 1e6});
  add_ways(device, "a", "b", all, start + std::chrono::seconds(2));
  EXPECT_EQ(device, Json::parse(R"({"bandwidth":1000000.0,
    "tried":{"address":"10.0.0.2:7433","outcome":"refused","why":"no?","seconds_ago":2},
    "tried_from_there":{"address":"10.0.0.1:7433","outcome":"timed_out","why":"","seconds_ago":6}})"));
  told.membership_version = 3;
  all.heard("c", told, {"", 4, ""}, start);
  Json other;
  add_ways(other, "a", "c", all, start + std::chrono::seconds(7));
  EXPECT_EQ(other["membership"], Json::parse(R"({"version":3,"agrees":false,"differs_seconds":7.0})"));
}

}  // namespace
}  // namespace caravan::app
