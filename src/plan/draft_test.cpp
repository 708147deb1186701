#include "plan/draft.h"

#include <gmock/gmock.h>

#include "plan/planner.h"
#include "plan/planner_testing.h"

namespace caravan::plan {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing_support::cluster;
using testing_support::device;
using testing_support::transformer;

const model::ModelFacts kLarge = transformer(32, mebibytes(60), mebibytes(100));
const model::ModelFacts kSmall = transformer(4, mebibytes(2), mebibytes(10), 256);

Cluster two(double round_trip) {
  return cluster({device("a", mebibytes(1600), 8), device("b", mebibytes(1600), 8)}, round_trip);
}

TEST(Draft, PaysTheSoonerTheMoreAStepCosts) {
  double before = 2;
  for (const double round_trip : {0.0005, 0.005, 0.05, 0.5}) {
    const auto devices = two(round_trip);
    const auto proposal = propose(kLarge, devices, {.context = 1024, .use = {"a", "b"}});
    ASSERT_TRUE(proposal.ok()) << proposal.error().message;
    const auto outlook = draft_outlook(kLarge, kSmall, devices, proposal->replicas.front());
    EXPECT_EQ(outlook.hindrance, "");
    EXPECT_GT(outlook.often, outlook.seldom);
    EXPECT_LT(outlook.break_even, before) << round_trip;
    before = outlook.break_even;
  }
  EXPECT_LT(before, 0.1);
}

TEST(Draft, AModelThatIsNoSmallerDoesNotPay) {
  const auto devices = cluster({device("a", mebibytes(8000), 8)});
  const auto proposal = propose(kLarge, devices, {.context = 1024});
  ASSERT_TRUE(proposal.ok());
  const auto outlook = draft_outlook(kLarge, kLarge, devices, proposal->replicas.front());
  EXPECT_EQ(outlook.hindrance, "");
  EXPECT_GT(outlook.break_even, 1);
  EXPECT_THAT(describe(outlook, "x", proposal->replicas.front()),
              HasSubstr("does not pay even when all are"));
}

TEST(Draft, WhatCannotBeSaysWhy) {
  const auto devices = two(0.005);
  auto other = kSmall;
  other.vocabulary = 151936;
  const auto proposal = propose(kLarge, devices, {.context = 1024, .draft = other});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  EXPECT_THAT(proposal->reasons, Contains(HasSubstr("151936 tokens")));
  const Plan& plan = proposal->replicas.front();
  const auto large = transformer(32, mebibytes(60), mebibytes(100));
  EXPECT_THAT(draft_outlook(kLarge, large, devices, plan).hindrance, HasSubstr("no room"));
  auto recurrent = kSmall;
  recurrent.layer_facts.front().state = 10;
  EXPECT_THAT(draft_outlook(kLarge, recurrent, devices, plan).hindrance, HasSubstr("recurrent"));
}

TEST(Draft, IsSaidAndNotPlanned) {
  const auto devices = two(0.005);
  const auto with = propose(kLarge, devices, {.context = 1024, .draft = kSmall});
  const auto without = propose(kLarge, devices, {.context = 1024});
  ASSERT_TRUE(with.ok() && without.ok());
  EXPECT_THAT(with->reasons, Contains(HasSubstr("80 % of its guesses are right")));
  EXPECT_EQ(with->replicas.front().predicted.decode, without->replicas.front().predicted.decode);
  EXPECT_EQ(with->replicas.front().speculation.draft, without->replicas.front().speculation.draft);
}

}  // namespace
}  // namespace caravan::plan
