#include "doctor/checkup.h"

#include <future>
#include <latch>
#include <memory>
#include <stdexcept>

#include <gmock/gmock.h>

namespace caravan::doctor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::chrono::milliseconds kLong{60'000};

struct Number {
  int value = 0;
};
Finding even(const Number& number) {
  if (number.value % 2 == 0) return ok("even");
  return {Status::warning, "odd", "it cannot be halved", {"add 1"}};
}
Finding large(const Number& number) {
  if (number.value > 10) return ok("large");
  return {Status::problem, "small", "it is too little", {"take another"}};
}
Finding any(const Number&) { return skipped("whatever"); }

const std::vector<Check<Number>> kNumberChecks{{{"even", "parity"}, even}, {{"large", "size"}, large}};

Step number_step(int value) {
  return make_step<Number>(kNumberChecks, kLong, [value] { return Number{value}; });
}

std::vector<std::string> names_of(const std::vector<Diagnosis>& all) {
  std::vector<std::string> names;
  for (const Diagnosis& one : all) names.push_back(one.name + " " + std::string(name_of(one.finding.status)));
  return names;
}

/// What was told, and the result.
struct Told {
  std::vector<Diagnosis> diagnoses;
  CheckupResult result;
};
Told told_by(const std::vector<Step>& steps, const std::set<std::string>& only = {}) {
  Told told;
  told.result = run_checkup(steps, only, [&](const Diagnosis& one) { told.diagnoses.push_back(one); });
  return told;
}

TEST(Checkup, TellsEveryFindingInTheOrderOfTheSteps) {
  const Step last = make_step<Number>({{{"any", "anything"}, any}}, kLong, [] { return Number{}; });
  const Told told = told_by({number_step(3), last});
  EXPECT_THAT(names_of(told.diagnoses), ElementsAre("even warning", "large problem", "any skipped"));
  EXPECT_EQ(in_words(told.result.tally), "1 problem, 1 warning, 1 skipped");
  EXPECT_EQ(told.result.tally.all(), 3);
  EXPECT_FALSE(told.result.hangs);
}

TEST(Checkup, AFindingIsToldBeforeLaterStepsEnd) {
  std::promise<void> first_was_told;
  const auto signal = first_was_told.get_future().share();
  const Step later = make_step<Number>({{{"any", "anything"}, any}}, kLong, [signal] {
    signal.wait();
    return Number{};
  });
  std::vector<std::string> told;
  run_checkup({number_step(12), later}, {"even", "any"}, [&](const Diagnosis& one) {
    told.push_back(one.name);
    if (one.name == "even") first_was_told.set_value();
  });
  EXPECT_THAT(told, ElementsAre("even", "any"));
}

TEST(Checkup, RunsOnlyWhatIsWanted) {
  bool other_ran = false;
  const Step other = make_step<Number>({{{"any", "anything"}, any}}, kLong, [&] {
    other_ran = true;
    return Number{};
  });
  const Told told = told_by({other, number_step(12)}, {"large"});
  EXPECT_THAT(names_of(told.diagnoses), ElementsAre("large ok"));
  EXPECT_FALSE(other_ran);
  EXPECT_THAT(told_by({number_step(12)}, {"nothing"}).diagnoses, IsEmpty());
}

TEST(Checkup, AStepThatHangsIsReportedAndTheOthersAreNotHeldUp) {
  // No promises: the last hold of their state is given up inside libstdc++, where ThreadSanitizer does not
  // see it.
  const auto hold = std::make_shared<std::latch>(1);
  const auto over = std::make_shared<std::latch>(1);
  const Step stuck = make_step<Number>(kNumberChecks, std::chrono::milliseconds(1), [hold, over]() {
    hold->wait();
    over->count_down();
    return Number{};
  });
  const Step after = make_step<Number>({{{"any", "anything"}, any}}, kLong, [] { return Number{}; });
  const Told told = told_by({stuck, after});
  EXPECT_THAT(names_of(told.diagnoses), ElementsAre("even problem", "large problem", "any skipped"));
  EXPECT_THAT(told.diagnoses[0].finding.found, HasSubstr("has not ended"));
  EXPECT_THAT(told.diagnoses[0].finding.cure, ElementsAre("caravan doctor --only even"));
  EXPECT_TRUE(told.result.hangs);
  hold->count_down();
  over->wait();
}

TEST(Checkup, AStepThatThrowsIsAProblemOfItsChecks) {
  const Step broken =
      make_step<Number>(kNumberChecks, kLong, []() -> Number { throw std::runtime_error("no such luck"); });
  const Told told = told_by({broken});
  EXPECT_THAT(names_of(told.diagnoses), ElementsAre("even problem", "large problem"));
  EXPECT_THAT(told.diagnoses[1].finding.found, HasSubstr("no such luck"));
}

TEST(Finding, AsJson) {
  const Diagnosis one{"even", even({3})};
  EXPECT_EQ(
      dump_json(to_json(one)),
      R"({"cure":["add 1"],"found":"odd","name":"even","status":"warning","why":"it cannot be halved"})");
  Tally tally;
  for (const Status status : {Status::ok, Status::ok, Status::note}) tally.add(status);
  EXPECT_EQ(dump_json(to_json(tally)), R"({"notes":1,"ok":2,"problems":0,"skipped":0,"warnings":0})");
  EXPECT_EQ(in_words(tally), "1 note, 2 ok");
}

}  // namespace
}  // namespace caravan::doctor
