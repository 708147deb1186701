#include "trace/timeline.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "trace/testing.h"

namespace caravan::trace {
namespace {

/// Of one kind in one step.
std::vector<Piece> pieces_of(const Lane& lane, Kind kind, std::uint32_t step) {
  std::vector<Piece> found;
  for (const Piece& piece : lane.pieces) {
    if (piece.kind == kind && piece.step == step) found.push_back(piece);
  }
  return found;
}

void expect_in_order(const Lane& lane) {
  for (std::size_t i = 0; i < lane.pieces.size(); ++i) {
    EXPECT_LT(lane.pieces[i].begin, lane.pieces[i].end);
    const Nanoseconds before = i > 0 ? lane.pieces[i - 1].end : lane.pieces[i].begin;
    EXPECT_LE(before, lane.pieces[i].begin);
  }
}

/// The samples of the test are lopsided by 50 us: as wrong as that the lanes are.
constexpr Nanoseconds kWrong = kMs / 20;

void expect_about(const std::vector<Piece>& pieces, Nanoseconds begin, Nanoseconds end) {
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_NEAR(static_cast<double>(pieces[0].begin), static_cast<double>(begin), kWrong);
  EXPECT_NEAR(static_cast<double>(pieces[0].end), static_cast<double>(end), kWrong);
}

TEST(Timeline, IsOnTheMastersClock) {
  const Timeline timeline = lay_out(tokens_of_two_stages(3));
  ASSERT_EQ(timeline.stages.size(), 2U);
  ASSERT_EQ(timeline.steps.size(), 3U);
  for (const Lane& lane : timeline.stages) {
    EXPECT_TRUE(lane.is_placed);
    EXPECT_GE(lane.clock.uncertainty, kWrong);
    expect_in_order(lane);
  }
  expect_in_order(timeline.master);
  for (std::uint32_t step = 0; step < 3; ++step) {
    const Nanoseconds at = timeline.steps[step].begin;
    const Lane& one = timeline.stages[0];
    const Lane& two = timeline.stages[1];
    expect_about(pieces_of(one, Kind::wire, step), at, at + kMs);
    expect_about(pieces_of(one, Kind::compute, step), at + kMs, at + 6 * kMs + kMs / 2);
    expect_about(pieces_of(one, Kind::send, step), at + 6 * kMs + kMs / 2, at + 7 * kMs);
    expect_about(pieces_of(two, Kind::wire, step), at + 6 * kMs + kMs / 2, at + 9 * kMs);
    expect_about(pieces_of(two, Kind::compute, step), at + 9 * kMs, at + 17 * kMs);
    expect_about(pieces_of(timeline.master, Kind::wire, step), at + 17 * kMs, at + 18 * kMs);
  }
  expect_about(pieces_of(timeline.master, Kind::compute, 0), timeline.steps[0].end, timeline.steps[1].begin);
  EXPECT_TRUE(pieces_of(timeline.master, Kind::compute, 2).empty()) << "nobody knows what came next";
}

TEST(Timeline, StepsLastUntilTheNextOne) {
  const Timeline timeline = lay_out(tokens_of_two_stages(3));
  EXPECT_EQ(timeline.steps[0].period, 20 * kMs);
  EXPECT_EQ(timeline.steps[0].end - timeline.steps[0].begin, 18 * kMs);
  EXPECT_EQ(timeline.steps[2].period, 18 * kMs);
  for (const StepTimes& step : timeline.steps) {
    EXPECT_TRUE(step.is_whole);
    EXPECT_TRUE(step.is_decode);
  }
}

TEST(Timeline, ARestAfterAnAnswerBelongsToNobody) {
  Recording recording = tokens_of_two_stages(3);
  recording.steps[1].rows = 64;  // a prompt comes
  const Timeline timeline = lay_out(recording);
  EXPECT_FALSE(timeline.steps[1].is_decode);
  EXPECT_EQ(timeline.steps[0].period, 18 * kMs);
  EXPECT_EQ(timeline.steps[1].period, 20 * kMs) << "its result is the first token";
}

TEST(Timeline, AStepWithoutOneStagesPartIsNotWhole) {
  Recording recording = tokens_of_two_stages(3);
  recording.stages[1].spans.resize(4);  // what came too late
  const Timeline timeline = lay_out(recording);
  EXPECT_TRUE(timeline.steps[1].is_whole);
  EXPECT_FALSE(timeline.steps[2].is_whole);
}

TEST(Timeline, ASpanOfAnUnknownGraphShiftsNothing) {
  Recording recording = tokens_of_two_stages(3);
  auto& spans = recording.stages[0].spans;
  spans.erase(std::ranges::find(spans, Doing::compute, &Span::doing));
  recording.runs.insert(recording.runs.begin(), {0, 1, 55, 400 * kMs});  // never ran
  const Timeline timeline = lay_out(recording);
  // All graphs of a stage are alike here, so the first span counts for the first run; the second stage's are
  // found behind the one that never ran.
  EXPECT_EQ(pieces_of(timeline.stages[1], Kind::compute, 0).size(), 1U);
  EXPECT_EQ(pieces_of(timeline.stages[1], Kind::compute, 2).size(), 1U);
}

TEST(Timeline, WhereTheMasterHandsOnTheWayBeginsWithTheStageBefore) {
  Recording recording = tokens_of_two_stages(1);
  std::erase_if(recording.stages[1].spans, [](const Span& span) { return span.doing == Doing::wait_peer; });
  recording.stages[0].spans.back().detail = 0;  // read by the master
  const Timeline timeline = lay_out(recording);
  const Nanoseconds at = timeline.steps[0].begin;
  expect_about(pieces_of(timeline.stages[1], Kind::wire, 0), at + 7 * kMs, at + 9 * kMs);
}

TEST(Timeline, AStageWithoutAClockIsEmpty) {
  Recording recording = tokens_of_two_stages(2);
  recording.stages[0].clock.clear();
  const Timeline timeline = lay_out(recording);
  EXPECT_FALSE(timeline.stages[0].is_placed);
  EXPECT_TRUE(pieces_of(timeline.stages[0], Kind::compute, 0).empty());
  EXPECT_EQ(pieces_of(timeline.stages[1], Kind::compute, 0).size(), 1U);
  EXPECT_FALSE(timeline.steps[0].is_whole);
}

TEST(Timeline, NothingIsLaidOutAsNothing) {
  const Timeline timeline = lay_out(Recording{});
  EXPECT_TRUE(timeline.stages.empty());
  EXPECT_TRUE(timeline.master.pieces.empty());
}

/// Whatever workers tell.
TEST(Timeline, NonsenseStaysInOrder) {
  std::minstd_rand random(11);
  for (int trial = 0; trial < 200; ++trial) {
    Recording recording = tokens_of_two_stages(5);
    for (StageRecord& stage : recording.stages) {
      for (Span& span : stage.spans) {
        if (random() % 3 == 0) span.doing = static_cast<Doing>(random() % 5);
        if (random() % 3 == 0) span.begin = static_cast<Nanoseconds>(random());
        if (random() % 3 == 0) span.end = static_cast<Nanoseconds>(random());
        if (random() % 3 == 0) span.detail = random() % 10;
        span.end = std::max(span.begin, span.end);
      }
    }
    const Timeline timeline = lay_out(recording);
    for (const Lane& lane : timeline.stages) expect_in_order(lane);
    expect_in_order(timeline.master);
  }
}

}  // namespace
}  // namespace caravan::trace
