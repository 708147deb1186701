#include "trace/clock_fit.h"

#include <cstdlib>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace caravan::trace {
namespace {

TEST(ClockFit, TheQuickestAnswerTellsMost) {
  const std::vector<ClockSample> samples{{0, 1000, 5900}, {2000, 2100, 7060}, {3000, 4000, 8100}};
  const auto fit = fit_clock(samples, 4000);
  ASSERT_TRUE(fit);
  EXPECT_EQ(fit->offset, 7060 - 2050);
  EXPECT_EQ(fit->uncertainty, 50);
  EXPECT_EQ(fit->on_master(7060), 2050);
}

TEST(ClockFit, ClocksDriftApartInALongTrace) {
  constexpr Nanoseconds kSecond = 1'000'000'000;
  const std::vector<ClockSample> samples{{0, 100, 50}};
  EXPECT_NEAR(static_cast<double>(fit_clock(samples, 10 * kSecond)->uncertainty), 50 + 10 * 30'000, 2);
  // A quick answer that is far away in time tells less than a slower one in the middle.
  const std::vector<ClockSample> two{{0, 100, 50}, {5 * kSecond, 5 * kSecond + 1000, 5 * kSecond}};
  EXPECT_EQ(fit_clock(two, 10 * kSecond)->offset, -500);
}

TEST(ClockFit, NothingIsKnownWithoutASample) { EXPECT_FALSE(fit_clock({}, 1000)); }

/// Whatever the ways there and back take, and wherever the worker's clock stands.
TEST(ClockFit, TheTruthIsWithinTheUncertainty) {
  std::minstd_rand random(7);
  for (int trial = 0; trial < 2000; ++trial) {
    const auto offset = static_cast<Nanoseconds>(random()) - 1'000'000'000;
    std::vector<ClockSample> samples(1 + random() % 10);
    Nanoseconds now = 0;
    for (ClockSample& sample : samples) {
      const auto there = static_cast<Nanoseconds>(random() % 5'000'000);
      const auto back = static_cast<Nanoseconds>(random() % 5'000'000);
      sample = {now, now + there + back, now + there + offset};
      now += there + back + static_cast<Nanoseconds>(random() % 100'000'000);
    }
    const auto fit = fit_clock(samples, now);
    ASSERT_TRUE(fit);
    EXPECT_LE(std::abs(fit->offset - offset), fit->uncertainty);
  }
}

}  // namespace
}  // namespace caravan::trace
