#include "cli/device_name.h"

#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

TEST(DeviceName, TheModelComesBeforeTheHostName) {
  EXPECT_EQ(default_device_name("Google Pixel 8", "localhost"), "google-pixel-8");
  EXPECT_EQ(default_device_name("samsung SM-G991B/DS (EU)", "x"), "samsung-sm-g991b-ds-eu");
  EXPECT_EQ(default_device_name(std::nullopt, "Kitchen_Pi.local"), "kitchen-pi-local");
}

TEST(DeviceName, WhatSaysNothingIsNoName) {
  EXPECT_EQ(default_device_name(std::nullopt, "localhost"), "this-device");
  EXPECT_EQ(default_device_name(std::nullopt, ""), "this-device");
  EXPECT_EQ(default_device_name("小米", "box"), "box");
  EXPECT_EQ(default_device_name("\x1b[2J\n", "\xff"), "2j");
}

TEST(DeviceName, LongOnesAreCutAndDoNotEndWithADash) {
  const std::string long_one(63, 'a');
  EXPECT_EQ(default_device_name(long_one + "aaaaa", ""), long_one + "a");
  EXPECT_EQ(default_device_name(long_one + " bbbbb", ""), long_one);
}

TEST(DeviceName, ChosenOnesAreChecked) {
  for (const char* good : {"pixel-8", "Küche", "my old phone"}) EXPECT_TRUE(check_device_name(good).ok());
  const std::string too_long(65, 'x');
  for (const std::string& bad :
       {std::string(), std::string("  "), std::string("a\x1b[31m"), std::string("a\nb"), too_long}) {
    const auto checked = check_device_name(bad);
    ASSERT_FALSE(checked.ok()) << bad;
    EXPECT_EQ(checked.error().code, Code::invalid);
    EXPECT_EQ(checked.error().message.find('\x1b'), std::string::npos);
    EXPECT_FALSE(checked.error().hint.empty());
  }
}

}  // namespace
}  // namespace caravan::cli
