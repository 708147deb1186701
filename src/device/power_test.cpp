#include "device/power.h"

#include <gmock/gmock.h>

#include "device/fixture.h"
#include "device/termux.h"

namespace caravan::device {
namespace {

using ::testing::HasSubstr;

TEST(Battery, ReadsTermux) {
  const auto battery = parse_termux_battery(
      R"({"health":"GOOD","percentage":73,"plugged":"PLUGGED_AC","status":"FULL","temperature":31.5,"current":1})");
  ASSERT_TRUE(battery.ok());
  EXPECT_EQ(battery->level, 73);
  EXPECT_EQ(battery->charging, true);
  EXPECT_EQ(battery->plugged, true);
  EXPECT_DOUBLE_EQ(*battery->temperature, 31.5);
}

TEST(Battery, WhatTermuxDoesNotKnowIsNotMadeUp) {
  // -1 of 1 and a temperature that was not told, as BatteryStatusAPI writes them.
  const auto battery = parse_termux_battery(
      R"({"percentage":-100,"plugged":"PLUGGED_-1","status":"UNKNOWN","temperature":"22.3"})");
  ASSERT_TRUE(battery.ok());
  EXPECT_FALSE(battery->level);
  EXPECT_FALSE(battery->charging);
  EXPECT_FALSE(battery->plugged);
  EXPECT_DOUBLE_EQ(*battery->temperature, 22.3);
}

TEST(Battery, GarbageOfTermuxIsAnError) {
  for (const char* text : {"", "{", "[]", "1", "{}", R"({"percentage":"x","temperature":[1],"status":5})",
                           R"({"percentage":1e999})", R"({"temperature":9000})"}) {
    EXPECT_FALSE(parse_termux_battery(text).ok()) << text;
  }
  const auto refused = parse_termux_battery(R"({"API_ERROR":"Permission\u001b denied"})");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message, "Permission? denied");
}

TEST(Battery, SysfsValues) {
  EXPECT_EQ(parse_charging("Charging\n"), true);
  EXPECT_EQ(parse_charging("Full"), true);
  EXPECT_EQ(parse_charging("Not charging"), false);
  EXPECT_EQ(parse_charging("Discharging"), false);
  EXPECT_FALSE(parse_charging("Unknown"));
  EXPECT_DOUBLE_EQ(*parse_battery_temperature("312\n"), 31.2);
  EXPECT_DOUBLE_EQ(*parse_zone_temperature("-5000\n"), -5);
  for (const char* bad : {"", "x", "-2730", "99999999999999999999", "31.2"}) {
    EXPECT_FALSE(parse_battery_temperature(bad)) << bad;
  }
  for (const char* bad : {"-273000", "-127000", "1000000", "45 C"})
    EXPECT_FALSE(parse_zone_temperature(bad)) << bad;
}

TEST(Senses, OfAPhoneALaptopAndABoard) {
  const Senses phone = read_senses(fixture("snapdragon-8-gen-2"));
  ASSERT_TRUE(phone.battery);
  EXPECT_EQ(phone.battery->level, 85);
  const Senses laptop = read_senses(fixture("x86-laptop"));
  ASSERT_TRUE(laptop.battery);
  EXPECT_TRUE(laptop.battery->level);
  EXPECT_EQ(laptop.processor, 61);
  const Senses board = read_senses(fixture("raspberry-pi-5"));
  EXPECT_FALSE(board.battery) << "a board has none";
  EXPECT_TRUE(board.processor);
  const Senses hidden = read_senses(fixture("hidden-android"));
  EXPECT_FALSE(hidden.battery);
  EXPECT_FALSE(hidden.processor);
}

TEST(ThermalZones, TheHottestOfTheProcessorCounts) {
  const std::vector<ThermalZone> zones{{"skin", 60}, {"CPU-0-0", 51}, {"cpu-1-0", 55}, {"battery", 70}};
  const ThermalZone* hottest = hottest_of_processor(zones);
  ASSERT_NE(hottest, nullptr);
  EXPECT_EQ(hottest->temperature, 55);
  EXPECT_EQ(hottest_of_processor({}), nullptr);
}

TEST(Termux, SaysWhatWouldReveal) {
  const Error missing{Code::not_found, "m", ""};
  EXPECT_THAT(hidden_behind_termux("battery", missing, true).cure, HasSubstr("pkg install termux-api"));
  EXPECT_THAT(hidden_behind_termux("battery", missing, false).cure, HasSubstr("run Caravan in Termux"));
  const HiddenFact slow = hidden_behind_termux("battery", {Code::unavailable, "5 s", ""}, true);
  EXPECT_THAT(slow.why, HasSubstr("does not answer: 5 s"));
  EXPECT_THAT(slow.cure, HasSubstr("the app Termux:API"));
  EXPECT_THAT(hidden_behind_termux("battery", {Code::invalid, "x", ""}, true).cure, HasSubstr("upgrade"));
}

TEST(Source, Decimals) {
  EXPECT_DOUBLE_EQ(*parse_decimal(" -12.75\n"), -12.75);
  EXPECT_DOUBLE_EQ(*parse_decimal("433.3"), 433.3);
  EXPECT_DOUBLE_EQ(*parse_decimal("5180"), 5180);
  for (const char* bad : {"", "-", ".", "1.2.3", "1e5", "--1", "0x1", "nan", "1234567890123456"}) {
    EXPECT_FALSE(parse_decimal(bad)) << bad;
  }
}

}  // namespace
}  // namespace caravan::device
