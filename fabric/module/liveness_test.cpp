#include "fabric/module/liveness.h"

#include <vector>

#include <gtest/gtest.h>

namespace caravan::fabric {
namespace {

using namespace std::chrono_literals;

constexpr Debt::Time kStart{};

TEST(Liveness, WhoOwesNothingMayBeSilent) {
  const std::vector<Debt> debts{{false, kStart}, {false, kStart}};
  EXPECT_FALSE(stuck_stage(debts, kStart + 100s, 8s));
  EXPECT_EQ(next_deadline(debts, kStart + 100s, 8s), kStart + 108s);
}

TEST(Liveness, ADebtAsOldAsTheTimeoutIsAFailure) {
  const std::vector<Debt> debts{{false, kStart}, {true, kStart + 1s}};
  EXPECT_FALSE(stuck_stage(debts, kStart + 8999ms, 8s));
  EXPECT_EQ(next_deadline(debts, kStart + 5s, 8s), kStart + 9s);
  EXPECT_EQ(stuck_stage(debts, kStart + 9s, 8s), 1U);
}

TEST(Liveness, TheFirstSilentStageIsToBlame) {
  // The second one waits for the first one, which froze just after it had said that it lives.
  const std::vector<Debt> debts{{true, kStart + 1s}, {true, kStart}};
  EXPECT_EQ(stuck_stage(debts, kStart + 8s, 8s), 0U);
  // Here the first one answers all the time.
  const std::vector<Debt> other{{true, kStart + 7s}, {true, kStart}};
  EXPECT_EQ(stuck_stage(other, kStart + 8s, 8s), 1U);
}

TEST(Liveness, ADebtBeginsWithTheFirstQuestionAndAnAnswerIsLife) {
  Debt debt;
  debt.asked(kStart + 1s);
  debt.asked(kStart + 2s);
  EXPECT_EQ(debt.since, kStart + 1s);
  debt.heard(true, kStart + 3s);
  EXPECT_TRUE(debt.owes);
  EXPECT_EQ(debt.since, kStart + 3s);
  debt.heard(false, kStart + 4s);
  EXPECT_FALSE(debt.owes);
  debt.asked(kStart + 9s);
  EXPECT_EQ(debt.since, kStart + 9s);
  debt.waited_for(kStart + 20s);
  EXPECT_EQ(debt.since, kStart + 20s);
  EXPECT_TRUE(debt.owes);
}

}  // namespace
}  // namespace caravan::fabric
