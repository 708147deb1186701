#include "app/speed_check.h"

#include <gmock/gmock.h>

namespace caravan::app {
namespace {

using namespace std::chrono_literals;
using cluster::SpeedNote;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PlannedSpeed planned(double decode = 20, int parallel = 1) {
  return {"m", decode, parallel, {"a", "b", "c"}, {10, 7, 7}};
}

/// The master, over simulated time.
struct Master {
  SpeedCheck check;
  TimePoint now{1h};
  PlannedSpeed plan = planned();
  double generated = 0;
  std::vector<std::string> told;

  void answer(double rate, double tokens = 64) {
    generated += tokens;
    engine::TokenTotals ended;
    ended.predicted_tokens = tokens;
    ended.predicted_seconds = tokens / rate;
    engine::TokenTotals all;
    all.predicted_tokens = generated;
    check.rests(false, now);
    if (auto text = check.answered(ended, all, plan, now)) told.push_back(*text);
    now += 1s;
    check.rests(true, now);
  }
  void answers(int count, double rate) {
    for (int i = 0; i < count; ++i) answer(rate);
  }
  /// Nobody asks; true when it is time to measure then.
  bool quiet(std::chrono::seconds time) {
    now += time;
    check.rests(true, now);
    return check.is_due(now);
  }
  void measure() {
    ASSERT_TRUE(check.is_due(now));
    check.began();
    now += 15s;
    check.measured(now);
    now += SpeedCheck::kSettle;
  }
};

TEST(SpeedCheck, AnswersAsPlannedAreNoReason) {
  Master master;
  for (int i = 0; i < 50; ++i) master.answer(i % 2 == 0 ? 17 : 23);
  EXPECT_FALSE(master.quiet(60s));
  EXPECT_FALSE(master.check.note());
  EXPECT_THAT(master.told, IsEmpty());
}

TEST(SpeedCheck, MeasuresAgainWhenAnswersStaySlowAndNobodyWaits) {
  Master master;
  master.answers(4, 10);
  EXPECT_FALSE(master.quiet(60s)) << "not yet lasting";
  master.answer(10);
  ASSERT_THAT(master.told, ElementsAre(HasSubstr("take 2.0 times as long as planned (10.0 instead of 20.0")));
  EXPECT_EQ(master.check.note(), (SpeedNote{10, 20, SpeedNote::State::waits}));
  EXPECT_THAT(master.check.others(), ElementsAre("b", "c"));
  EXPECT_FALSE(master.check.is_due(master.now));
  EXPECT_FALSE(master.quiet(SpeedCheck::kQuiet - 1s));
  EXPECT_TRUE(master.quiet(1s));
  master.check.began();
  EXPECT_EQ(master.check.note()->state, SpeedNote::State::measures);
}

TEST(SpeedCheck, AnAnswerThatIsAskedForMeanwhileGoesFirst) {
  Master master;
  master.answers(5, 10);
  ASSERT_TRUE(master.quiet(10s));
  master.check.began();
  master.check.interrupted();
  EXPECT_EQ(master.check.note()->state, SpeedNote::State::waits);
  EXPECT_FALSE(master.quiet(0s));
  EXPECT_TRUE(master.quiet(SpeedCheck::kQuiet)) << "at the next quiet moment";
}

TEST(SpeedCheck, WhatMeasuringDoesNotChangeIsRememberedAndNotRepeated) {
  Master master;
  master.answers(5, 10);
  ASSERT_TRUE(master.quiet(10s));
  master.measure();
  EXPECT_FALSE(master.check.note());
  master.answers(5, 10);
  ASSERT_EQ(master.told.size(), 2U);
  EXPECT_THAT(master.told.back(), HasSubstr("also after measuring again"));
  EXPECT_EQ(master.check.note(), (SpeedNote{10, 20, SpeedNote::State::stays}));
  for (int hour = 0; hour < 10; ++hour) {
    master.answers(20, 10);
    EXPECT_FALSE(master.quiet(1h));
  }
  EXPECT_EQ(master.told.size(), 2U);
  EXPECT_EQ(master.check.note()->state, SpeedNote::State::stays) << "and people go on seeing it";
}

TEST(SpeedCheck, AnotherDepartureIsMeasuredAfterAnHourAtTheEarliest) {
  Master master;
  master.answers(5, 10);
  ASSERT_TRUE(master.quiet(10s));
  master.measure();
  master.plan = planned(10);  // predicted again
  master.answers(5, 10);
  EXPECT_EQ(master.told.size(), 1U) << "as planned now";
  master.answers(5, 5);
  EXPECT_EQ(master.told.size(), 2U);
  EXPECT_FALSE(master.quiet(30min));
  EXPECT_TRUE(master.quiet(30min));
}

TEST(SpeedCheck, WhatPassesByItselfIsNotMeasured) {
  Master master;
  master.answers(5, 10);
  master.answers(5, 20);
  EXPECT_THAT(master.told, ElementsAre(HasSubstr("2.0 times"), HasSubstr("as fast as planned again")));
  EXPECT_FALSE(master.check.note());
  EXPECT_FALSE(master.quiet(1h));
}

TEST(SpeedCheck, ARememberedDepartureThatEndsIsForgotten) {
  Master master;
  master.answers(5, 10);
  ASSERT_TRUE(master.quiet(10s));
  master.measure();
  master.answers(5, 10);
  master.answers(5, 20);
  EXPECT_THAT(master.told.back(), HasSubstr("as fast as planned again"));
  EXPECT_FALSE(master.check.note());
  EXPECT_FALSE(master.quiet(2h));
}

TEST(SpeedCheck, ARememberedDepartureThatGrowsIsMeasured) {
  Master master;
  master.answers(5, 10);
  ASSERT_TRUE(master.quiet(10s));
  master.measure();
  master.answers(5, 10);
  master.answers(5, 4);
  EXPECT_TRUE(master.quiet(1h));
  EXPECT_EQ(master.check.note(), (SpeedNote{4, 20, SpeedNote::State::waits}));
}

TEST(SpeedCheck, AnotherPlanStartsOver) {
  Master master;
  master.answers(5, 10);
  master.plan = planned(12);
  master.answers(1, 10);
  EXPECT_FALSE(master.check.note());
  EXPECT_FALSE(master.quiet(1h));
}

TEST(SpeedCheck, FasterIsADepartureToo) {
  Master master;
  master.answers(5, 30);
  EXPECT_THAT(master.told, ElementsAre(HasSubstr("are 1.5 times as fast as planned")));
  EXPECT_TRUE(master.quiet(10s));
}

TEST(SpeedCheck, OfSeveralSequencesAnAnswerMayHaveBeenAloneOrNot) {
  Master master;
  master.plan = planned(40, 4);  // each 10 at least
  for (const double rate : {9.0, 10.0, 25.0, 40.0, 45.0}) master.answers(5, rate);
  EXPECT_FALSE(master.quiet(1h));
  master.answers(5, 5);
  EXPECT_EQ(master.check.note(), (SpeedNote{5, 10, SpeedNote::State::waits}));
}

TEST(SpeedCheck, WhereTokensAreGuessedAheadFasterIsNoDeparture) {
  Master master;
  master.plan.guesses = true;
  master.answers(10, 50);
  EXPECT_FALSE(master.check.note());
  master.answers(5, 10);
  EXPECT_EQ(master.check.note(), (SpeedNote{10, 20, SpeedNote::State::waits}));
}

TEST(SpeedCheck, ShortAnswersAreNoMeasure) {
  Master master;
  for (int i = 0; i < 20; ++i) master.answer(1, SpeedCheck::kLeastTokens - 1);
  EXPECT_FALSE(master.check.note());
  master.generated = 2e6;  // of which the engine tells six digits: tens of tokens
  for (int i = 0; i < 20; ++i) master.answer(1, 100);
  EXPECT_FALSE(master.check.note());
  for (int i = 0; i < 5; ++i) master.answer(1, 300);
  EXPECT_TRUE(master.check.note());
}

TEST(SpeedCheck, AWorkerMeasuresWhenItIsAskedAtMostOnceAnHour) {
  SpeedCheck worker;
  TimePoint now{1h};
  EXPECT_TRUE(worker.asked(now));
  worker.rests(true, now);
  EXPECT_FALSE(worker.is_due(now));
  now += SpeedCheck::kQuiet;
  EXPECT_TRUE(worker.is_due(now));
  EXPECT_THAT(worker.others(), IsEmpty()) << "it does not ask in turn";
  worker.began();
  worker.measured(now);
  EXPECT_FALSE(worker.asked(now + 59min));
  EXPECT_FALSE(worker.is_due(now + 59min));
  EXPECT_TRUE(worker.asked(now + 60min));
}

TEST(SpeedCheck, WhatIsMeasuredForAnotherReasonDoesNotCount) {
  Master master;
  master.check.measured(master.now);
  master.answers(5, 10);
  EXPECT_TRUE(master.quiet(10s));
}

TEST(PlannedSpeed, IsFoundInWhatTheControllerTells) {
  const Json told = Json::parse(R"({"deployments":[{"model":"n","replicas":[]},{"model":"m","replicas":[
    {"shares":[{"device":"x","layers":24}],"parallel":1,"predicted":{"decode":7}},
    {"shares":[{"device":"a","layers":10},{"device":"b","layers":14}],"parallel":2,"predicted":{"decode":20.5}}]}]})");
  EXPECT_EQ(planned_speed(told, "a"), (PlannedSpeed{"m", 20.5, 2, {"a", "b"}, {10, 14}}));
  EXPECT_FALSE(planned_speed(told, "b")) << "only its master answers";
  Json guessing = told;
  guessing["deployments"][1]["replicas"][1]["speculation"]["draft"] = 8;
  EXPECT_TRUE(planned_speed(guessing, "a")->guesses);
  EXPECT_FALSE(planned_speed(Json::object(), "a"));
  for (const char* broken : {R"({"deployments":7})", R"({"deployments":[7]})",
                             R"({"deployments":[{"replicas":[{"shares":"a","predicted":[]}]}]})",
                             R"({"deployments":[{"replicas":[{"shares":[{"device":"a"}]}]}]})"}) {
    EXPECT_FALSE(planned_speed(Json::parse(broken), "a")) << broken;
  }
}

}  // namespace
}  // namespace caravan::app
