#include "fabric/module/liveness.h"

#include <vector>

#include <gtest/gtest.h>

namespace caravan::fabric {
namespace {

using namespace std::chrono_literals;

constexpr Moment kStart{};

TEST(Liveness, SilenceForTheTimeoutIsAFailure) {
  const std::vector<Moment> heard{kStart + 5s, kStart + 1s, kStart + 4s};
  EXPECT_FALSE(silent_stage(heard, kStart, kStart + 8999ms, 8s));
  EXPECT_EQ(silent_stage(heard, kStart, kStart + 9s, 8s), 1U);
  EXPECT_EQ(next_deadline(heard, kStart, 8s), kStart + 9s);
}

TEST(Liveness, TheLongestSilentOneIsToBlame) {
  const std::vector<Moment> heard{kStart + 2s, kStart + 1s};
  EXPECT_EQ(silent_stage(heard, kStart, kStart + 100s, 8s), 1U);
}

TEST(Liveness, SilenceBeforeTheWaitDoesNotCount) {
  const std::vector<Moment> heard{kStart + 1s, kStart + 2s};
  EXPECT_FALSE(silent_stage(heard, kStart + 60s, kStart + 67s, 8s));
  EXPECT_EQ(next_deadline(heard, kStart + 60s, 8s), kStart + 68s);
  EXPECT_EQ(silent_stage(heard, kStart + 60s, kStart + 68s, 8s), 0U);
}

TEST(Liveness, StandingStillIsWhenNoStageMoves) {
  const std::vector<Moment> moved{kStart + 1s, kStart + 5s};
  EXPECT_FALSE(stand_still(moved, kStart, kStart + 12999ms, 8s));
  EXPECT_TRUE(stand_still(moved, kStart, kStart + 13s, 8s));
  EXPECT_FALSE(stand_still(moved, kStart + 60s, kStart + 67s, 8s));
  EXPECT_TRUE(stand_still(moved, kStart + 60s, kStart + 68s, 8s));
}

TEST(Liveness, NoStagesAreNeverSilent) {
  EXPECT_FALSE(stand_still({}, kStart, kStart + 100s, 8s));
  EXPECT_FALSE(silent_stage({}, kStart, kStart + 100s, 8s));
  EXPECT_EQ(next_deadline({}, kStart, 8s), kStart + 8s);
}

}  // namespace
}  // namespace caravan::fabric
