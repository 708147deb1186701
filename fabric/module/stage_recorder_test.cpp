#include "fabric/module/stage_recorder.h"

#include <gtest/gtest.h>

namespace caravan::fabric {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBase = 7'000'000'000'000;  // the worker runs since hours
constexpr std::size_t kRoom = 100;

TEST(StageRecorder, TimesBeginWithTheTrace) {
  const Moment began{5s};
  StageRecorder recorder("phone", began);
  EXPECT_EQ(recorder.take({1, kBase, 0, {}}, began + 1ms, began + 3ms, kRoom), 0U);
  const Timeline later{2, kBase + 50, 0, {{fabric::Doing::compute, kBase + 10, kBase + 40, 9}}};
  EXPECT_EQ(recorder.take(later, began + 4ms, began + 5ms, kRoom), 1U);
  const auto& record = recorder.record();
  EXPECT_EQ(record.name, "phone");
  EXPECT_EQ(record.clock,
            (std::vector<trace::ClockSample>{{1'000'000, 3'000'000, 0}, {4'000'000, 5'000'000, 50}}));
  EXPECT_EQ(record.spans, (std::vector<trace::Span>{{trace::Doing::compute, 10, 40, 9}}));
  EXPECT_EQ(record.dropped, 0U);
}

TEST(StageRecorder, ShortIdlenessIsLeftOut) {
  StageRecorder recorder("phone", {});
  recorder.take({1, kBase, 0, {}}, {}, {}, kRoom);
  const Timeline timeline{2,
                          kBase + 100'000,
                          0,
                          {{fabric::Doing::wait_command, kBase, kBase + 19'999, 0},
                           {fabric::Doing::load, kBase, kBase + 19'999, 4},
                           {fabric::Doing::wait_command, kBase, kBase + 20'000, 0},
                           {fabric::Doing::wait_peer, kBase, kBase + 1, 3}}};
  EXPECT_EQ(recorder.take(timeline, {}, {}, kRoom), 2U);
  EXPECT_EQ(recorder.record().dropped, 0U);
}

TEST(StageRecorder, WhatCannotBeOrHasNoRoomIsCounted) {
  StageRecorder recorder("phone", {});
  recorder.take({1, kBase, 2, {}}, {}, {}, kRoom);
  const Timeline timeline{2,
                          kBase - 1,  // a clock that goes back
                          0,
                          {{fabric::Doing::compute, kBase - 5, kBase + 1, 1},
                           {fabric::Doing::compute, kBase, UINT64_MAX, 1},
                           {fabric::Doing::compute, kBase, kBase + 1, UINT64_MAX},
                           {fabric::Doing::compute, kBase, kBase + 1, 1},
                           {fabric::Doing::compute, kBase + 1, kBase + 2, 1}}};
  EXPECT_EQ(recorder.take(timeline, {}, {}, 1), 1U);
  EXPECT_EQ(recorder.record().dropped, 2U + 4U);
  EXPECT_EQ(recorder.record().clock.size(), 1U);
}

}  // namespace
}  // namespace caravan::fabric
