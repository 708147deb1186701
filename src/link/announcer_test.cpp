#include "link/announcer.h"

#include <vector>

#include <gmock/gmock.h>

namespace caravan::link {
namespace {

using std::chrono::milliseconds;

constexpr TimePoint kStart{std::chrono::hours(1)};

/// When beacons go out until `end`, in milliseconds after kStart.
std::vector<long> sent_until(Announcer& announcer, milliseconds end) {
  std::vector<long> sent;
  while (announcer.next_deadline() <= kStart + end) {
    const TimePoint now = announcer.next_deadline();
    EXPECT_TRUE(announcer.due(now));
    EXPECT_FALSE(announcer.due(now)) << "twice for one deadline";
    EXPECT_GT(announcer.next_deadline(), now);
    sent.push_back(static_cast<long>(std::chrono::duration_cast<milliseconds>(now - kStart).count()));
  }
  return sent;
}

TEST(Announcer, BeginsWithThreeThenNowAndThen) {
  Announcer announcer(kStart, 1);
  const auto sent = sent_until(announcer, milliseconds(60'000));
  ASSERT_GE(sent.size(), 7U);
  EXPECT_LE(sent.size(), 10U);
  EXPECT_EQ(sent[0], 0);
  EXPECT_LE(sent[2], 660);
  for (std::size_t i = 3; i < sent.size(); ++i) {
    EXPECT_GE(sent[i] - sent[i - 1], 9'000);
    EXPECT_LE(sent[i] - sent[i - 1], 11'000);
  }
}

TEST(Announcer, DevicesThatBeganTogetherDoNotStayInStep) {
  Announcer one(kStart, 1);
  Announcer other(kStart, 2);
  EXPECT_NE(sent_until(one, milliseconds(60'000)), sent_until(other, milliseconds(60'000)));
}

TEST(Announcer, WhileBusyOneASecond) {
  Announcer announcer(kStart, 1);
  announcer.set_busy(true, kStart);
  const auto sent = sent_until(announcer, milliseconds(20'000));
  EXPECT_GE(sent.size(), 19U);
  EXPECT_LE(sent.size(), 26U);
}

TEST(Announcer, AChangeIsToldAtOnce) {
  Announcer announcer(kStart, 1);
  (void)sent_until(announcer, milliseconds(5'000));
  const TimePoint now = kStart + milliseconds(5'000);
  EXPECT_FALSE(announcer.due(now));
  announcer.changed(now);
  EXPECT_TRUE(announcer.due(now));
  EXPECT_LT(announcer.next_deadline(), now + milliseconds(400));
  announcer.set_busy(true, now + milliseconds(1));
  EXPECT_TRUE(announcer.due(now + milliseconds(1)));
}

TEST(Announcer, HoweverManyAskAnswersAreFew) {
  Announcer announcer(kStart, 1);
  (void)sent_until(announcer, milliseconds(1'000));
  int sent = 0;
  for (int i = 0; i < 5'000; ++i) {  // one each millisecond
    const TimePoint now = kStart + milliseconds(1'000 + i);
    announcer.asked(now);
    sent += announcer.due(now) ? 1 : 0;
  }
  EXPECT_GE(sent, 10);
  EXPECT_LE(sent, 26);
}

TEST(Announcer, WhoAsksOnceIsAnsweredAtOnce) {
  Announcer announcer(kStart, 1);
  (void)sent_until(announcer, milliseconds(1'000));
  const TimePoint now = kStart + milliseconds(3'000);
  announcer.asked(now);
  EXPECT_TRUE(announcer.due(now));
}

}  // namespace
}  // namespace caravan::link
