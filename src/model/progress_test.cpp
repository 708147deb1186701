#include "model/progress.h"

#include <vector>

#include <gtest/gtest.h>

namespace caravan::model {
namespace {

using namespace std::chrono_literals;

TEST(RateMeter, IsOfTheLastSeconds) {
  RateMeter meter;
  TimePoint now;
  EXPECT_EQ(meter.bytes_per_second(), 0);
  for (int i = 0; i < 100; ++i) meter.add(Bytes{100U * static_cast<unsigned>(i)}, now += 100ms);
  EXPECT_NEAR(meter.bytes_per_second(), 1000, 1);
  for (int i = 0; i < 60; ++i) meter.add(Bytes{9900}, now += 100ms);
  EXPECT_EQ(meter.bytes_per_second(), 0) << "nothing came for six seconds";
}

TEST(RateMeter, CallsInQuickSuccessionDoNotMakeItForget) {
  RateMeter meter;
  TimePoint now;
  for (int i = 0; i <= 10000; ++i) meter.add(Bytes{static_cast<std::uint64_t>(i)}, now += 1ms);
  EXPECT_NEAR(meter.bytes_per_second(), 1000, 20);
}

TEST(RateMeter, BeginsAnewWhenTheCountGoesBack) {
  RateMeter meter;
  meter.add(Bytes{1000}, TimePoint(1s));
  meter.add(Bytes{0}, TimePoint(2s));
  EXPECT_EQ(meter.bytes_per_second(), 0);
  meter.add(Bytes{50}, TimePoint(3s));
  EXPECT_EQ(meter.bytes_per_second(), 50);
}

TEST(ProgressReporter, ThinsOutButReportsEveryPhase) {
  std::vector<Progress> reports;
  const TransferControl control{[&](const Progress& progress) { reports.push_back(progress); }, nullptr};
  ProgressReporter reporter(control);
  for (unsigned i = 0; i < 1000; ++i) reporter.report(Progress::Phase::downloading, Bytes{i}, Bytes{1000});
  const std::size_t before = reports.size();
  EXPECT_LT(before, 1000U);
  reporter.report(Progress::Phase::verifying, Bytes{0}, std::nullopt, "why");
  ASSERT_EQ(reports.size(), before + 1);
  EXPECT_EQ(reports.back().phase, Progress::Phase::verifying);
  EXPECT_EQ(reports.back().note, "why");
  EXPECT_EQ(name_of(reports.back().phase), "verifying");
}

TEST(ProgressReporter, NobodyNeedListen) {
  const TransferControl control;
  ProgressReporter(control).report(Progress::Phase::downloading, Bytes{1}, std::nullopt);
  EXPECT_FALSE(control.is_cancelled());
}

}  // namespace
}  // namespace caravan::model
