#include "trace/summary.h"

#include <gtest/gtest.h>

#include "trace/testing.h"

namespace caravan::trace {
namespace {

double ms(const LaneSummary& lane, Kind kind) { return lane.ms[static_cast<std::size_t>(kind)]; }

TEST(Summary, SaysWhereATokensTimeGoes) {
  const Summary summary = summarize(lay_out(tokens_of_two_stages(9)));
  EXPECT_EQ(summary.tokens, 9U);
  EXPECT_NEAR(summary.token_ms, 20, 0.01);
  const LaneSummary& one = summary.stages.at(0);
  const LaneSummary& two = summary.stages.at(1);
  constexpr double kNear = 0.1;
  EXPECT_NEAR(ms(one, Kind::compute), 5.5, kNear);
  EXPECT_NEAR(ms(one, Kind::wire), 1, kNear);
  EXPECT_NEAR(ms(one, Kind::send), 0.5, kNear);
  EXPECT_NEAR(ms(one, Kind::wait), 13, kNear);
  EXPECT_NEAR(ms(two, Kind::compute), 8, kNear);
  EXPECT_NEAR(ms(two, Kind::wire), 2.5, kNear);
  EXPECT_NEAR(ms(two, Kind::wait), 9.5, kNear);
  EXPECT_NEAR(two.share, 0.4, 0.01);
  EXPECT_NEAR(ms(summary.master, Kind::compute), 2, kNear);
  EXPECT_NEAR(ms(summary.master, Kind::wire), 1, kNear);
  EXPECT_NEAR(*one.clock_ms, 0.1, kNear);
  EXPECT_FALSE(summary.master.clock_ms);
  EXPECT_NEAR(summary.between_ms, 20 - 5.5 - 8 - 2, kNear) << "what nobody computes";
}

TEST(Summary, PromptsAreCountedApart) {
  Recording recording = tokens_of_two_stages(5);
  recording.steps[0].rows = 64;
  recording.steps[1].rows = 30;
  const Summary summary = summarize(lay_out(recording));
  EXPECT_EQ(summary.tokens, 3U);
  EXPECT_EQ(summary.prompt_parts, 2U);
  EXPECT_EQ(summary.prompt_tokens, 94U);
  EXPECT_NEAR(summary.prompt_ms, 38, 0.01);
}

TEST(Summary, OneStrangeTokenChangesNothing) {
  Recording recording = tokens_of_two_stages(7);
  recording.stages[1].spans[1].end += 2 * kMs;
  const Summary summary = summarize(lay_out(recording));
  EXPECT_NEAR(ms(summary.stages.at(1), Kind::compute), 8, 0.1);
}

TEST(Summary, OfNothingIsNothing) {
  const Summary summary = summarize(lay_out(Recording{}));
  EXPECT_EQ(summary.tokens, 0U);
  EXPECT_EQ(summary.token_ms, 0);
}

}  // namespace
}  // namespace caravan::trace
