#include "cluster/band.h"

#include <gmock/gmock.h>

namespace caravan::cluster {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// One device over simulated time.
struct Phone {
  DeviceBand state;
  TimePoint now{1h};
  int changes = 0;

  Band tell(const Condition& condition) {
    changes += state.update(condition, now) ? 1 : 0;
    now += 30s;
    return state.band();
  }
  Band heat(double celsius) {
    Condition condition;
    condition.battery_celsius = celsius;
    return tell(condition);
  }
  Band charge(int percent, std::optional<bool> charging) {
    Condition condition;
    condition.battery_percent = percent;
    condition.charging = charging;
    return tell(condition);
  }
};

TEST(Band, ComesAtOneLimitAndGoesAtALowerOne) {
  Phone phone;
  EXPECT_EQ(phone.heat(41.9), Band::normal);
  EXPECT_EQ(phone.state.why(), "");
  EXPECT_EQ(phone.heat(42), Band::hot);
  EXPECT_EQ(phone.state.why(), "its battery has 42.0 °C (until that is below 38 °C)");
  EXPECT_EQ(phone.heat(38), Band::hot);
  EXPECT_THAT(phone.state.why(), HasSubstr("42.0")) << "as it was: the reason does not change all the time";
  EXPECT_EQ(phone.heat(37.9), Band::normal);
  EXPECT_EQ(phone.heat(41.9), Band::normal);
  EXPECT_EQ(phone.changes, 2);
}

TEST(Band, AboutAsHotAsALimitItDoesNotFlap) {
  Phone phone;
  for (int i = 0; i < 100; ++i) phone.heat(i % 2 == 0 ? 42.3 : 40.8);
  EXPECT_EQ(phone.changes, 1);
}

TEST(Band, CriticalHasLimitsOfItsOwn) {
  Phone phone;
  EXPECT_EQ(phone.heat(48), Band::critical);
  EXPECT_EQ(phone.heat(44), Band::critical);
  EXPECT_EQ(phone.heat(43.9), Band::hot);
  EXPECT_EQ(phone.heat(47.9), Band::hot);
  EXPECT_EQ(phone.heat(30), Band::normal);
}

TEST(Band, AProcessorMayBeHotterThanABattery) {
  Phone phone;
  Condition board;
  board.processor_celsius = 84;
  EXPECT_EQ(phone.tell(board), Band::normal);
  board.processor_celsius = 85;
  EXPECT_EQ(phone.tell(board), Band::hot);
  EXPECT_EQ(phone.state.why(), "its processor has 85.0 °C (until that is below 75 °C)");
  board.processor_celsius = 95;
  EXPECT_EQ(phone.tell(board), Band::critical);
  board.battery_celsius = 40;
  EXPECT_EQ(phone.tell(board), Band::normal) << "where a battery tells its own, that counts alone";
}

TEST(Band, ABatteryThatIsNearlyEmptyAndNotCharged) {
  Phone phone;
  EXPECT_EQ(phone.charge(15, false), Band::normal);
  EXPECT_EQ(phone.charge(14, false), Band::critical);
  EXPECT_EQ(phone.state.why(), "its battery has 14 % and is not charged (until that is above 25 %)");
  EXPECT_EQ(phone.charge(25, false), Band::critical);
  EXPECT_EQ(phone.charge(26, false), Band::normal);
  EXPECT_EQ(phone.charge(5, false), Band::critical);
  EXPECT_EQ(phone.charge(5, true), Band::normal);
  EXPECT_EQ(phone.charge(5, std::nullopt), Band::normal) << "it may be charged";
}

TEST(Band, WhatIsNotToldAnyMoreIsForgotten) {
  Phone phone;
  phone.heat(43);
  const TimePoint told = phone.now - 30s;
  while (phone.now < told + DeviceBand::kForget) EXPECT_EQ(phone.tell(Condition()), Band::hot);
  EXPECT_EQ(phone.tell(Condition()), Band::normal);
  phone.charge(5, false);
  phone.now += DeviceBand::kForget;
  EXPECT_EQ(phone.tell(Condition()), Band::normal);
}

TEST(Band, ADeviceThatTellsNothingIsNormal) {
  Phone phone;
  EXPECT_EQ(phone.tell(Condition()), Band::normal);
  EXPECT_EQ(phone.changes, 0);
  EXPECT_EQ(speed_factor(Band::normal), 1);
  EXPECT_LT(speed_factor(Band::critical), speed_factor(Band::hot));
}

}  // namespace
}  // namespace caravan::cluster
