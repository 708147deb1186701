#include "link/arrival_limit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace caravan::link {
namespace {

using std::chrono::milliseconds;
constexpr TimePoint kStart{std::chrono::hours(1)};

TEST(ArrivalLimit, AHostMaySendABurstAndThenItsRate) {
  ArrivalLimit limit(kStart);
  int admitted = 0;
  for (int i = 0; i < 1'000; ++i) admitted += limit.admit("10.0.0.1", kStart) ? 1 : 0;
  EXPECT_EQ(admitted, 40);
  EXPECT_FALSE(limit.admit("10.0.0.1", kStart + milliseconds(10)));
  EXPECT_TRUE(limit.admit("10.0.0.1", kStart + milliseconds(100)));
}

TEST(ArrivalLimit, OneThatSendsTooMuchDoesNotSilenceOthers) {
  ArrivalLimit limit(kStart);
  for (int i = 0; i < 100'000; ++i) (void)limit.admit("10.0.0.1", kStart);
  EXPECT_TRUE(limit.admit("10.0.0.2", kStart));
}

TEST(ArrivalLimit, AllTogetherHaveALimitAndItsTableToo) {
  ArrivalLimit limit(kStart);
  int admitted = 0;
  for (int second = 0; second < 10; ++second) {
    for (int i = 0; i < 5'000; ++i) {
      const auto host = fmt::format("10.{}.{}.{}", second, i / 256, i % 256);
      admitted += limit.admit(host, kStart + std::chrono::seconds(second)) ? 1 : 0;
    }
    EXPECT_LE(limit.hosts(), 256U);
  }
  EXPECT_LE(admitted, 400 + 9 * 200);
  EXPECT_GE(admitted, 256);
}

TEST(ArrivalLimit, HostsThatWentAwayAreForgotten) {
  ArrivalLimit limit(kStart);
  for (int i = 0; i < 300; ++i) (void)limit.admit(fmt::format("10.0.{}.{}", i / 256, i % 256), kStart);
  EXPECT_EQ(limit.hosts(), 256U);
  EXPECT_TRUE(limit.admit("192.168.1.1", kStart + std::chrono::seconds(60)));
  EXPECT_EQ(limit.hosts(), 1U);
}

TEST(ArrivalLimit, ATimeThatGoesBackGivesNothing) {
  ArrivalLimit limit(kStart);
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(limit.admit("a", kStart));
  EXPECT_FALSE(limit.admit("a", kStart - std::chrono::seconds(5)));
  EXPECT_FALSE(limit.admit("a", kStart));
}

}  // namespace
}  // namespace caravan::link
