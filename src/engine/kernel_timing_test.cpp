#include "engine/kernel_timing.h"

#include <gtest/gtest.h>

namespace caravan::engine {
namespace {

TEST(KernelTiming, TypicalPassIsTheMedianOfTheFasterHalf) {
  EXPECT_DOUBLE_EQ(typical_pass({5}), 5);
  EXPECT_DOUBLE_EQ(typical_pass({9, 1}), 1);
  EXPECT_DOUBLE_EQ(typical_pass({100, 4, 100, 3, 2, 100}), 3);
  EXPECT_DOUBLE_EQ(typical_pass({8, 7, 6, 5, 4, 3, 2, 1}), 3);
}

TEST(KernelTiming, WarmsUpAndEndsAfterManyPasses) {
  int runs = 0;
  const auto timing = time_passes(1, std::chrono::duration<double>(60), [&]() -> Result<void> {
    ++runs;
    return {};
  });
  ASSERT_TRUE(timing.ok());
  EXPECT_EQ(runs, 1 + 4096);  // not for a minute: that many say enough
  EXPECT_GT(timing->seconds, 0);
  EXPECT_GE(timing->share, 0);
  EXPECT_LE(timing->share, 1);
}

TEST(KernelTiming, APassWithoutEndIsRunOnce) {
  int runs = 0;
  const auto timing = time_passes(2, std::chrono::duration<double>(0), [&]() -> Result<void> {
    ++runs;
    return {};
  });
  ASSERT_TRUE(timing.ok());
  EXPECT_EQ(runs, 1);
  EXPECT_GT(timing->seconds, 0);
}

TEST(KernelTiming, EndsWithTheFirstError) {
  int runs = 0;
  const auto timing = time_passes(2, std::chrono::duration<double>(10), [&]() -> Result<void> {
    if (++runs == 3) return Error{Code::exhausted, "no memory", ""};
    return {};
  });
  ASSERT_FALSE(timing.ok());
  EXPECT_EQ(timing.error().message, "no memory");
  EXPECT_EQ(runs, 3);
}

TEST(KernelTiming, OnceIsOnce) {
  int runs = 0;
  const PassTiming timing = time_once([&] { ++runs; });
  EXPECT_EQ(runs, 1);
  EXPECT_GT(timing.seconds, 0);
  EXPECT_GE(timing.share, 0);
  EXPECT_LE(timing.share, 1);
}

}  // namespace
}  // namespace caravan::engine
