#include "trace/drawing.h"

#include <gtest/gtest.h>

#include "trace/testing.h"

namespace caravan::trace {
namespace {

/// Two tokens in 40 characters: one each millisecond.
constexpr std::size_t kColumns = 40 + 6 + 4;

TEST(Drawing, ShowsWhatTakesTheMostTime) {
  const Timeline timeline = lay_out(tokens_of_two_stages(4));
  const auto window = usual_tokens(timeline, 2);
  ASSERT_TRUE(window);
  EXPECT_EQ(window->steps, 2U);
  const auto lines = draw(timeline, *window, {"one", "two"}, kColumns);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0], "          |                   |            40.0 ms");
  EXPECT_EQ(lines[1], "  master  .................~##.................~##");
  EXPECT_EQ(lines[2], "  one     ~######.............~######.............");
  EXPECT_EQ(lines[3], "  two     .......~~########..........~~########...");
}

TEST(Drawing, LongNamesAreCutAndNarrowTerminalsGetALittle) {
  const Timeline timeline = lay_out(tokens_of_two_stages(2));
  const auto lines = draw(timeline, *usual_tokens(timeline, 1), {"ünï", "a name that is far too long"}, 10);
  for (const std::string& line : lines) EXPECT_LE(line.size(), 42U) << line;
  EXPECT_EQ(lines[2].substr(0, 24), "  ünï               ~#") << "two letters of two bytes";
  EXPECT_EQ(lines[3].substr(0, 20), "  a name that is f  ");
}

TEST(Drawing, TokensOneAfterTheOtherNearTheUsualLength) {
  Recording recording = tokens_of_two_stages(8);
  recording.steps[3].rows = 64;  // a prompt between answers
  recording.steps[5].begin += 3 * kMs;
  recording.runs[10].at += 3 * kMs;
  const Timeline timeline = lay_out(recording);
  const auto window = usual_tokens(timeline, 2);
  ASSERT_TRUE(window);
  EXPECT_EQ(window->begin, timeline.steps[0].begin);
  EXPECT_EQ(usual_tokens(timeline, 3)->steps, 3U);
  EXPECT_FALSE(usual_tokens(lay_out(Recording{}), 3));
}

TEST(Drawing, ThePromptOfMostParts) {
  Recording recording = tokens_of_two_stages(8);
  EXPECT_FALSE(longest_prompt(lay_out(recording)));
  for (const std::size_t step : {0U, 3U, 4U, 6U}) recording.steps[step].rows = 64;
  const Timeline timeline = lay_out(recording);
  const auto window = longest_prompt(timeline);
  ASSERT_TRUE(window);
  EXPECT_EQ(window->steps, 2U);
  EXPECT_EQ(window->begin, timeline.steps[3].begin);
  EXPECT_EQ(window->end, timeline.steps[4].end);
}

TEST(Drawing, TheLegendHasEachCharacter) {
  for (const char* one : {"# ", "~ ", ". ", "> ", "+ "}) EXPECT_NE(legend().find(one), std::string::npos);
}

}  // namespace
}  // namespace caravan::trace
