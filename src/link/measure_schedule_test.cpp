#include "link/measure_schedule.h"

#include <gtest/gtest.h>

namespace caravan::link {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr TimePoint kStart{};

/// Linked with these since the start, and nothing else goes on.
MeasureSchedule schedule_of(const std::string& self, std::initializer_list<const char*> devices) {
  MeasureSchedule schedule(self);
  for (const char* device : devices) schedule.linked(device, kStart);
  return schedule;
}

TEST(MeasureSchedule, TheSmallerIdMeasuresOnceTheLinkHasSettled) {
  MeasureSchedule smaller = schedule_of("a", {"b"});
  EXPECT_FALSE(smaller.next(kStart + seconds(1)));
  EXPECT_EQ(smaller.next(kStart + seconds(3)), "b");
  MeasureSchedule greater = schedule_of("b", {"a"});
  EXPECT_FALSE(greater.next(kStart + minutes(60)));
  EXPECT_TRUE(greater.answer("a", kStart + minutes(60)));
}

TEST(MeasureSchedule, OneAtATime) {
  MeasureSchedule schedule = schedule_of("b", {"a", "c", "d"});
  EXPECT_EQ(schedule.next(kStart + seconds(3)), "c");
  EXPECT_FALSE(schedule.next(kStart + seconds(4)));
  EXPECT_FALSE(schedule.answer("a", kStart + seconds(4)));
  schedule.done("c", true, kStart + seconds(5));
  EXPECT_TRUE(schedule.answer("a", kStart + seconds(5)));
  EXPECT_FALSE(schedule.next(kStart + seconds(6)));
  schedule.answered();
  EXPECT_EQ(schedule.next(kStart + seconds(7)), "d");
}

TEST(MeasureSchedule, NotWhileAnythingElseGoesOnNorRightAfter) {
  MeasureSchedule schedule = schedule_of("a", {"b"});
  schedule.disturbed(kStart + seconds(100));
  EXPECT_FALSE(schedule.next(kStart + seconds(100)));
  EXPECT_FALSE(schedule.next(kStart + seconds(102)));
  EXPECT_FALSE(schedule.answer("b", kStart + seconds(102)));
  EXPECT_EQ(schedule.next(kStart + seconds(103)), "b");
}

TEST(MeasureSchedule, OncePerLinkAndNotMoreOftenThanEveryTenMinutes) {
  MeasureSchedule schedule = schedule_of("a", {"b"});
  ASSERT_EQ(schedule.next(kStart + seconds(3)), "b");
  schedule.done("b", true, kStart + seconds(4));
  EXPECT_FALSE(schedule.next(kStart + minutes(60))) << "it is the same link";
  schedule.lost("b");
  EXPECT_FALSE(schedule.next(kStart + minutes(60)));
  schedule.linked("b", kStart + seconds(10));
  EXPECT_FALSE(schedule.next(kStart + minutes(9)));
  EXPECT_EQ(schedule.next(kStart + minutes(11)), "b");
}

TEST(MeasureSchedule, WhatFailedIsTriedAgainMoreAndMoreSeldom) {
  MeasureSchedule schedule = schedule_of("a", {"b"});
  TimePoint now = kStart + seconds(3);
  for (const int pause : {20, 40, 80, 160, 320, 600, 600}) {
    ASSERT_EQ(schedule.next(now), "b") << pause;
    schedule.done("b", false, now);
    EXPECT_FALSE(schedule.next(now + seconds(pause - 1))) << pause;
    now += seconds(pause);
  }
  schedule.lost("b");
  schedule.linked("b", now);
  EXPECT_EQ(schedule.next(now + seconds(3)), "b") << "another link, another try";
}

TEST(MeasureSchedule, WhoAsksTooOftenIsNotAnswered) {
  MeasureSchedule schedule = schedule_of("b", {"a"});
  ASSERT_TRUE(schedule.answer("a", kStart + seconds(5)));
  schedule.answered();
  EXPECT_FALSE(schedule.answer("a", kStart + minutes(2)));
  EXPECT_TRUE(schedule.answer("a", kStart + minutes(10)));
  schedule.answered();
  EXPECT_FALSE(schedule.answer("stranger", kStart + minutes(10)));
  schedule.lost("a");
  EXPECT_FALSE(schedule.answer("a", kStart + minutes(30)));
}

TEST(MeasureSchedule, ADeviceThatGoesWhileItIsMeasuredHoldsNobodyUp) {
  MeasureSchedule schedule = schedule_of("a", {"b", "c"});
  ASSERT_EQ(schedule.next(kStart + seconds(3)), "b");
  schedule.lost("b");
  schedule.forget("b");
  schedule.done("b", false, kStart + seconds(4));
  EXPECT_EQ(schedule.next(kStart + seconds(4)), "c");
}

}  // namespace
}  // namespace caravan::link
