#include "engine/restart_policy.h"

#include <gtest/gtest.h>

namespace caravan::engine {
namespace {

using namespace std::chrono_literals;

constexpr RestartLimits kLimits{.max_restarts = 4, .window = 60s, .first_delay = 500ms, .max_delay = 3s};

class RestartPolicyTest : public testing::Test {
 protected:
  /// The delay, or -1 ms when it is given up.
  std::chrono::milliseconds on(ExitCause cause) {
    const RestartDecision decision = policy_.on(cause, now_);
    if (const auto* restart = std::get_if<RestartAfter>(&decision)) {
      now_ += restart->delay;
      return restart->delay;
    }
    reason_ = std::get<GiveUp>(decision).reason;
    return -1ms;
  }

  RestartPolicy policy_{kLimits};
  TimePoint now_{1h};
  std::string reason_;
};

TEST_F(RestartPolicyTest, DelayDoublesUpToItsLimitUntilTheBudgetIsSpent) {
  EXPECT_EQ(on(ExitCause::crashed), 500ms);
  EXPECT_EQ(on(ExitCause::killed), 1s);
  EXPECT_EQ(on(ExitCause::worker_lost), 2s);
  EXPECT_EQ(on(ExitCause::exited), 3s);
  EXPECT_EQ(on(ExitCause::out_of_memory), -1ms);
  EXPECT_EQ(reason_, "it ended 5 times within 1 min 00 s");
}

TEST_F(RestartPolicyTest, WhatLastsForTheWindowStartsAnew) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(on(ExitCause::crashed), 500ms);
    now_ += kLimits.window;
  }
}

TEST_F(RestartPolicyTest, OnlyRestartsWithinTheWindowCount) {
  EXPECT_EQ(on(ExitCause::crashed), 500ms);
  now_ += 40s;
  EXPECT_EQ(on(ExitCause::crashed), 1s);
  now_ += 40s;  // the first is out of the window, the second is in it
  EXPECT_EQ(on(ExitCause::crashed), 1s);
}

TEST_F(RestartPolicyTest, ASpentBudgetComesBackWithTimeOrByRequest) {
  while (on(ExitCause::crashed) >= 0ms) {
  }
  EXPECT_EQ(on(ExitCause::crashed), -1ms);
  policy_.reset();
  EXPECT_EQ(on(ExitCause::crashed), 500ms);
  while (on(ExitCause::crashed) >= 0ms) {
  }
  now_ += kLimits.window;
  EXPECT_EQ(on(ExitCause::crashed), 500ms);
}

TEST_F(RestartPolicyTest, ATakenPortIsTriedAgainAtOnceButNotForEver) {
  for (int i = 0; i < kLimits.max_restarts; ++i) EXPECT_EQ(on(ExitCause::port_taken), 0ms);
  EXPECT_EQ(on(ExitCause::port_taken), -1ms);
}

TEST_F(RestartPolicyTest, WhatWouldFailAgainIsNotStarted) {
  for (const ExitCause cause : {ExitCause::model_unreadable, ExitCause::flag_unknown,
                                ExitCause::missing_library, ExitCause::worker_incompatible}) {
    EXPECT_EQ(on(cause), -1ms) << name_of(cause);
    EXPECT_EQ(reason_, "starting it again would not help");
  }
  EXPECT_EQ(on(ExitCause::asked), -1ms);
  EXPECT_EQ(reason_, "it was stopped");
  EXPECT_EQ(on(ExitCause::crashed), 500ms) << "none of them costs budget";
}

}  // namespace
}  // namespace caravan::engine
