#include "fabric/module/trace_log.h"

#include <gtest/gtest.h>

namespace caravan::fabric {
namespace {

using namespace std::chrono_literals;

class TraceLogTest : public testing::Test {
 protected:
  /// The stages are told, and the last one waited for; each takes a millisecond.
  void step(TraceLog& log, std::size_t stages, std::uint32_t rows) {
    for (std::size_t i = 0; i < stages; ++i) log.said(i, 10 + i, rows, now_ += 1ms);
    log.waited(stages - 1, now_, now_ + 1ms);
    now_ += 1ms;
  }

  Moment now_{};
};

TEST_F(TraceLogTest, NothingIsKeptBeforeItBegins) {
  TraceLog log(2);
  EXPECT_FALSE(log.on());
  step(log, 2, 1);
  EXPECT_TRUE(log.recording(now_).steps.empty());
}

TEST_F(TraceLogTest, AStepIsAPassThroughTheStages) {
  TraceLog log(2);
  log.begin(now_, 1);
  EXPECT_TRUE(log.on());
  step(log, 2, 64);
  step(log, 2, 1);
  EXPECT_EQ(log.tokens(), 1);
  const auto recording = log.recording(now_);
  EXPECT_EQ(recording.steps, (std::vector<trace::Step>{{1'000'000, 64}, {4'000'000, 1}}));
  ASSERT_EQ(recording.runs.size(), 4U);
  EXPECT_EQ(recording.runs[3], (trace::Run{1, 1, 11, 5'000'000}));
  EXPECT_EQ(recording.waits[1], (trace::Wait{1, 1, 5'000'000, 6'000'000}));
  EXPECT_EQ(recording.length, 6'000'000);
  EXPECT_EQ(recording.decode_rows, 1U);
}

TEST_F(TraceLogTest, AStageMayHaveSeveralGraphsAStep) {
  TraceLog log(2);
  log.begin(now_, 1);
  log.said(0, 1, 1, now_);
  log.said(0, 2, 1, now_);
  log.said(1, 3, 1, now_);
  EXPECT_EQ(log.recording(now_).steps.size(), 1U);
  log.said(0, 1, 1, now_);
  EXPECT_EQ(log.recording(now_).steps.size(), 2U);
  TraceLog alone(1);
  alone.begin(now_, 1);
  step(alone, 1, 1);
  step(alone, 1, 1);
  EXPECT_EQ(alone.recording(now_).steps.size(), 2U);
}

TEST_F(TraceLogTest, SplitTensorsTakeManyPassesAStep) {
  TraceLog log(2);
  log.begin(now_, 1);
  for (int token = 0; token < 2; ++token) {
    for (std::uint64_t part = 0; part < 3; ++part) {
      log.said(0, part, 1, now_, true);
      log.said(1, part, 1, now_, true);
    }
    log.waited(0, now_, now_);
  }
  EXPECT_EQ(log.recording(now_).steps.size(), 2U);
  EXPECT_EQ(log.tokens(), 2);
}

TEST_F(TraceLogTest, ATokenCountsWhenItsResultIsThere) {
  TraceLog log(2);
  log.begin(now_, 4);
  log.said(0, 1, 4, now_);
  log.said(1, 1, 4, now_);
  EXPECT_EQ(log.tokens(), 0);
  log.waited(1, now_, now_);
  EXPECT_EQ(log.tokens(), 1);
  step(log, 2, 5);
  EXPECT_EQ(log.tokens(), 1) << "that was a prompt";
}

TEST_F(TraceLogTest, WhatBeganBeforeIsNoStep) {
  TraceLog log(2);
  log.begin(now_, 1);
  log.said(1, 1, 1, now_);
  log.waited(1, now_, now_);
  EXPECT_TRUE(log.recording(now_).runs.empty());
  EXPECT_TRUE(log.recording(now_).waits.empty());
}

TEST_F(TraceLogTest, IsBounded) {
  TraceLog log(2);
  log.begin(now_, 1);
  for (std::size_t i = 0; i <= trace::kMaxSteps; ++i) step(log, 2, 1);
  EXPECT_TRUE(log.full());
  auto recording = log.recording(now_);
  recording.stages.resize(2);
  EXPECT_TRUE(
      trace::recording_from_json(*parse_json(dump_json(to_json(recording)), trace::kMaxRecordingBytes)));
  log.begin(now_, 1);
  EXPECT_FALSE(log.full());
  EXPECT_TRUE(log.recording(now_).steps.empty());
}

}  // namespace
}  // namespace caravan::fabric
