#include "cluster/conductor.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

namespace caravan::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Stage = Conductor::Stage;

Wish some_wish(const std::string& model = "m") {
  Wish wish;
  wish.model = model;
  wish.file = model + ".gguf";
  wish.size = Bytes{7};
  return wish;
}

NodeCard card_of(bool holds, bool measured = true) {
  NodeCard card;
  card.engine_build = "b";
  if (measured) card.profile = plan::DeviceProfile{};
  if (holds) card.models.push_back({"m.gguf", Bytes{7}});
  return card;
}

plan::Plan plan_of(const std::vector<std::string>& devices, double decode = 10) {
  plan::Plan plan;
  plan.predicted.decode = decode;
  for (const std::string& device : devices) {
    plan::Share share;
    share.device = device;
    share.rank = static_cast<int>(plan.shares.size());
    share.first_layer = share.rank * 4;
    share.layer_count = 4;
    plan.shares.push_back(share);
  }
  return plan;
}

/// The conductor of device "b" among others that do what the test says.
struct Scene {
  TimePoint now{seconds(1000)};
  std::string self = "b";
  std::unique_ptr<Conductor> conductor;
  std::vector<Desired> remembered;
  std::vector<MakePlan> asked;  ///< for plans
  std::vector<std::string> told;
  std::map<std::string, Assignment> wanted;  ///< of each device, the newest
  int assigned = 0;

  explicit Scene(Desired desired = {}) {
    conductor = std::make_unique<Conductor>(self, std::move(desired), now);
  }
  void send(const ConductorEvent& event) {
    for (const ConductorAction& action : conductor->on(event, now)) {
      if (const auto* remember = std::get_if<Remember>(&action)) remembered.push_back(remember->desired);
      if (const auto* plan = std::get_if<MakePlan>(&action)) asked.push_back(*plan);
      if (const auto* text = std::get_if<Told>(&action)) told.push_back(text->text);
      if (const auto* command = std::get_if<Assign>(&action)) {
        wanted[command->device] = command->assignment;
        ++assigned;
      }
    }
  }
  void link(const std::string& device, bool holds) {
    send(PeerLinked{device});
    send(CardHeard{device, card_of(holds)});
    report(device, Phase::idle);
  }
  void lose(const std::string& device) {
    send(PeerLost{device, Error{Code::disconnected, device + " is lost", ""}});
  }
  NodeState state_of(const std::string& device, Phase phase) const {
    NodeState state;
    state.device = device;
    state.phase = phase;
    const auto found = wanted.find(device);
    if (found == wanted.end()) return state;
    state.order = found->second.order;
    state.role = found->second.role;
    if (phase == Phase::ready && state.role == Role::worker) state.rpc_port = 50000 + found->second.rank;
    if (phase != Phase::ready || state.role != Role::master) return state;
    int first = 0;
    for (std::size_t rank = 0; rank < found->second.layers.size(); ++rank) {
      ObservedLayers seen{static_cast<int>(rank), {}, {}};
      seen.layers.resize(static_cast<std::size_t>(found->second.layers[rank]));
      std::iota(seen.layers.begin(), seen.layers.end(), first);
      first += found->second.layers[rank];
      state.observed.push_back(seen);
    }
    return state;
  }
  void report(const std::string& device, Phase phase) { send(StateReported{state_of(device, phase)}); }
  void fail(const std::string& device, Code code = Code::unavailable) {
    NodeState state = state_of(device, Phase::failed);
    state.error = Error{code, device + " failed", ""};
    send(StateReported{state});
  }
  /// Another device's engine that runs by an order which this test's conductor did not give.
  void report_running(const std::string& device, Role role, Order order) {
    NodeState state;
    state.device = device;
    state.role = role;
    state.phase = Phase::ready;
    state.order = order;
    send(StateReported{state});
  }
  void pass(milliseconds time) {
    for (const TimePoint end = now + time; now < end;) {
      const auto deadline = conductor->next_deadline();
      now = deadline && *deadline < end ? std::max(*deadline, now) : end;
      send(Tick{});
      const auto next = conductor->next_deadline();
      if (next && *next <= now) FAIL() << "the deadline does not move on";
    }
  }
  /// With heartbeats of the devices in `wanted`, so that none of them seems silent.
  void pass_alive(seconds time, Phase phase = Phase::ready) {
    for (seconds passed{0}; passed < time; passed += seconds(1)) {
      pass(seconds(1));
      for (const auto& [device, assignment] : std::map<std::string, Assignment>(wanted))
        report(device, assignment.role == Role::idle ? Phase::idle : phase);
    }
  }
  void plan(std::vector<plan::Plan> replicas) { send(Planned{asked.back().number, std::move(replicas)}); }
  /// b controls, c is linked, b (master) and c (worker) serve.
  void serve() {
    send(CardHeard{self, card_of(true)});
    report(self, Phase::idle);
    link("c", false);
    send(WishAsked{some_wish()});
    pass(seconds(4));
    plan({plan_of({"b", "c"})});
    report("c", Phase::ready);
    report("b", Phase::ready);
    ASSERT_EQ(stage(), Stage::serving);
  }
  /// Everybody stops as asked.
  void confirm_stop() {
    for (int round = 0; round < 2; ++round) {  // the workers are asked after the master
      for (const auto& [device, assignment] : std::map<std::string, Assignment>(wanted))
        if (assignment.role == Role::idle) report(device, Phase::idle);
    }
  }
  Stage stage() const { return conductor->stage(); }
};

Desired desired_of(std::uint64_t epoch, const std::string& controller, bool wish = true) {
  return {epoch, controller, wish ? std::optional(some_wish()) : std::nullopt};
}

TEST(Conductor, WithoutAnyWishItIsIdleAndWaitsForNothing) {
  Scene scene;
  EXPECT_EQ(scene.stage(), Stage::idle);
  EXPECT_FALSE(scene.conductor->next_deadline());
  scene.link("a", true);
  scene.pass(std::chrono::hours(1));
  EXPECT_EQ(scene.stage(), Stage::idle);
  EXPECT_TRUE(scene.remembered.empty() && scene.asked.empty() && scene.wanted.empty());
}

TEST(Conductor, WhereAPersonAsksIsTheControllerAndPlansWithWhoIsThere) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("a", false);
  scene.link("c", true);
  scene.lose("c");
  scene.send(WishAsked{some_wish()});
  ASSERT_EQ(scene.remembered.size(), 1U);
  EXPECT_EQ(scene.remembered[0].controller, "b");
  EXPECT_EQ(scene.remembered[0].wish, some_wish());
  EXPECT_EQ(scene.stage(), Stage::waiting);
  scene.pass(Conductor::kGather);
  ASSERT_EQ(scene.asked.size(), 1U);
  EXPECT_EQ(scene.stage(), Stage::planning);
  EXPECT_EQ(scene.asked[0].devices, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(scene.asked[0].holders, std::vector<std::string>{"b"});
}

TEST(Conductor, WhenEverybodyIsThereLongEnoughItPlansAtOnce) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("a", false);
  scene.pass(Conductor::kGather);
  scene.send(WishAsked{some_wish()});
  EXPECT_EQ(scene.stage(), Stage::planning);
}

TEST(Conductor, DevicesThatComeTogetherAreGatheredButNotForEver) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.pass(seconds(10));
  scene.link("c0", false);
  scene.send(WishAsked{some_wish()});
  for (int i = 1; i <= 15 && scene.asked.empty(); ++i) {
    scene.pass(seconds(2));
    scene.link("c" + std::to_string(i), false);
  }
  ASSERT_EQ(scene.asked.size(), 1U);
  EXPECT_GE(scene.asked[0].devices.size(), 9U);
}

TEST(Conductor, WaitsForADeviceThatIsBeingMeasuredButNotForOneWithoutAnEngine) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(PeerLinked{"a"});
  scene.send(CardHeard{"a", NodeCard{}});  // no engine
  scene.send(PeerLinked{"c"});
  scene.send(CardHeard{"c", card_of(false, false)});  // not measured yet
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(10));
  EXPECT_EQ(scene.stage(), Stage::waiting);
  scene.send(CardHeard{"c", card_of(false)});
  scene.pass(Conductor::kGather);
  ASSERT_EQ(scene.stage(), Stage::planning);
  EXPECT_EQ(scene.asked[0].devices, (std::vector<std::string>{"b", "c"}));
}

TEST(Conductor, ADeviceThatIsNeverMeasuredIsNotWaitedForLongerThanTwentySeconds) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(PeerLinked{"c"});
  scene.send(WishAsked{some_wish()});
  scene.pass(Conductor::kGatherMost);
  ASSERT_EQ(scene.stage(), Stage::planning);
  EXPECT_EQ(scene.asked[0].devices, std::vector<std::string>{"b"});
}

TEST(Conductor, StartsWorkersThenTheMasterThenServesWithOneOrder) {
  Scene scene;
  scene.serve();
  EXPECT_EQ(scene.wanted.at("b").role, Role::master);
  EXPECT_EQ(scene.wanted.at("c").role, Role::worker);
  EXPECT_EQ(scene.wanted.at("b").order, scene.wanted.at("c").order);
  EXPECT_EQ(scene.wanted.at("b").order.epoch, scene.conductor->desired().epoch);
  EXPECT_EQ(scene.conductor->plans().size(), 1U);
}

TEST(Conductor, ServingUndisturbedItDoesNothing) {
  Scene scene;
  scene.serve();
  const int before = scene.assigned;
  scene.pass_alive(seconds(600));
  EXPECT_EQ(scene.stage(), Stage::serving);
  EXPECT_EQ(scene.assigned, before);
  EXPECT_EQ(scene.asked.size(), 1U);
}

TEST(Conductor, StopEndsAllAndStaysIdle) {
  Scene scene;
  scene.serve();
  scene.send(WishAsked{std::nullopt});
  EXPECT_EQ(scene.stage(), Stage::stopping);
  EXPECT_FALSE(scene.remembered.back().wish);
  scene.confirm_stop();
  EXPECT_EQ(scene.stage(), Stage::idle);
  EXPECT_EQ(scene.wanted.at("c").role, Role::idle);
  scene.pass(seconds(600));
  EXPECT_EQ(scene.stage(), Stage::idle);
  EXPECT_EQ(scene.asked.size(), 1U);
}

TEST(Conductor, AnotherWishWhileStartingServingOrStoppingEndsWhatRunsFirst) {
  for (const Stage during : {Stage::starting, Stage::serving, Stage::stopping}) {
    Scene scene;
    scene.serve();
    if (during != Stage::serving) scene.send(WishAsked{some_wish()});
    if (during == Stage::starting) {
      scene.confirm_stop();
      scene.pass(seconds(1));
      scene.plan({plan_of({"b", "c"})});
    }
    ASSERT_EQ(scene.stage(), during);
    scene.send(WishAsked{some_wish("other")});
    EXPECT_EQ(scene.stage(), Stage::stopping);
    scene.confirm_stop();
    EXPECT_EQ(scene.stage(), Stage::waiting);
    scene.pass(seconds(30));
    EXPECT_EQ(scene.stage(), Stage::failed) << "nobody holds the other model";
    ASSERT_TRUE(scene.conductor->error());
    EXPECT_NE(scene.conductor->error()->message.find("other.gguf"), std::string::npos);
  }
}

TEST(Conductor, APlanThatIsOutOfDateIsNotStarted) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(4));
  const std::uint64_t old = scene.asked.back().number;
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(4));
  scene.send(Planned{old, std::vector<plan::Plan>{plan_of({"b"})}});
  EXPECT_EQ(scene.stage(), Stage::planning);
  EXPECT_TRUE(scene.wanted.empty());
  scene.plan({plan_of({"b"})});
  EXPECT_EQ(scene.stage(), Stage::starting);
}

TEST(Conductor, APlannerThatDoesNotAnswerIsAskedAgain) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(4) + Conductor::kPlanTime + seconds(1));
  EXPECT_EQ(scene.asked.size(), 2U);
  EXPECT_EQ(scene.stage(), Stage::planning);
}

TEST(Conductor, ADeviceThatIsLostWhileItIsPlannedForLeadsToAnotherPlan) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", false);
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(4));
  scene.lose("c");
  scene.plan({plan_of({"b", "c"})});
  EXPECT_TRUE(scene.wanted.empty());
  scene.pass(seconds(1));
  EXPECT_EQ(scene.asked.back().devices, std::vector<std::string>{"b"});
}

TEST(Conductor, WhenAPlanFailsItIsMadeAnewOnceDevicesChangeOrAfterFiveMinutes) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(4));
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "too big", ""}});
  EXPECT_EQ(scene.stage(), Stage::failed);
  EXPECT_EQ(scene.conductor->error()->message, "too big");
  scene.pass(Conductor::kLongestRetry - seconds(1));
  EXPECT_EQ(scene.asked.size(), 1U);
  scene.pass(seconds(2));
  ASSERT_EQ(scene.asked.size(), 2U);
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "too big", ""}});
  scene.link("c", false);
  scene.pass(Conductor::kGather);
  ASSERT_EQ(scene.asked.size(), 3U);
  EXPECT_EQ(scene.asked.back().devices.size(), 2U);
}

TEST(Conductor, ADeviceThatComesWhileAPlanFailsIsPlannedWithAtOnce) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(4));
  scene.link("c", false);
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "too big", ""}});
  scene.pass(Conductor::kGather);
  ASSERT_EQ(scene.asked.size(), 2U);
  EXPECT_EQ(scene.asked.back().devices.size(), 2U);
}

TEST(Conductor, AfterALossItPlansAgainWithoutDelayAndWithoutAnyCountOfFailures) {
  Scene scene;
  scene.serve();
  for (int i = 0; i < 8; ++i) {
    scene.lose("c");
    scene.pass(Controller::kSettle);
    scene.wanted.erase("c");
    scene.confirm_stop();
    ASSERT_EQ(scene.stage(), Stage::waiting);
    scene.pass(Conductor::kFirstRetry);
    ASSERT_EQ(scene.stage(), Stage::planning) << i;
    EXPECT_EQ(scene.asked.back().devices, std::vector<std::string>{"b"});
    scene.link("c", false);
    scene.plan({plan_of({"b", "c"})});
    scene.report("c", Phase::ready);
    scene.report("b", Phase::ready);
    ASSERT_EQ(scene.stage(), Stage::serving);
  }
}

TEST(Conductor, FailuresAreRetriedAtGrowingIntervalsUpToFiveMinutes) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(4));
  milliseconds expected = Conductor::kFirstRetry;
  for (int i = 0; i < 14; ++i) {
    scene.plan({plan_of({"b"})});
    scene.fail("b");
    scene.pass(Controller::kSettle);
    scene.confirm_stop();
    ASSERT_EQ(scene.stage(), Stage::failed) << i;
    EXPECT_EQ(scene.conductor->error()->message, "b failed");
    EXPECT_EQ(*scene.conductor->next_deadline() - scene.now, expected) << i;
    scene.pass(expected);
    ASSERT_EQ(scene.stage(), Stage::planning) << i;
    expected = std::min<milliseconds>(expected * 2, Conductor::kLongestRetry);
  }
  EXPECT_EQ(expected, Conductor::kLongestRetry);
  EXPECT_EQ(scene.asked.size(), 15U);
}

TEST(Conductor, ServingForTwoMinutesForgivesEarlierFailures) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(4));
  const auto fail_once = [&] {
    scene.fail("b");
    scene.pass(Controller::kSettle);
    scene.confirm_stop();
    ASSERT_EQ(scene.stage(), Stage::failed);
  };
  for (int i = 0; i < 4; ++i) {
    scene.plan({plan_of({"b"})});
    fail_once();
    scene.pass(*scene.conductor->next_deadline() - scene.now > seconds(8) ? seconds(9) : seconds(8));
  }
  scene.plan({plan_of({"b"})});
  scene.report("b", Phase::ready);
  scene.pass_alive(Conductor::kProven + seconds(1));
  fail_once();
  EXPECT_EQ(*scene.conductor->next_deadline() - scene.now, Conductor::kFirstRetry);
}

TEST(Conductor, ADeviceWhoseEngineFailedIsSparedForAWhileIfItGoesWithout) {
  Scene scene;
  scene.serve();
  scene.fail("c");
  scene.fail("b", Code::disconnected);
  scene.pass(Controller::kSettle);
  scene.confirm_stop();
  scene.pass(Conductor::kFirstRetry);
  ASSERT_EQ(scene.asked.size(), 2U);
  EXPECT_EQ(scene.asked.back().devices, std::vector<std::string>{"b"}) << "b only lost its worker";
  scene.plan({plan_of({"b"}, 5)});
  scene.report("b", Phase::ready);
  scene.pass_alive(Conductor::kSpare - seconds(10));
  EXPECT_EQ(scene.asked.size(), 2U);
  scene.pass_alive(seconds(20));
  ASSERT_EQ(scene.asked.size(), 3U) << "another chance";
  EXPECT_EQ(scene.asked.back().devices.size(), 2U);
}

TEST(Conductor, ADeviceWhoseEngineFailedIsTakenWhenItDoesNotGoWithout) {
  Scene scene;
  scene.serve();
  scene.fail("c");
  scene.pass(Controller::kSettle);
  scene.confirm_stop();
  scene.pass(Conductor::kFirstRetry);
  ASSERT_EQ(scene.asked.back().devices.size(), 1U);
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "too big", ""}});
  EXPECT_EQ(scene.stage(), Stage::planning);
  EXPECT_EQ(scene.asked.back().devices.size(), 2U);
}

TEST(Conductor, ABetterPlanIsMadeOnlyWhenItIsQuietAndOnlyIfItIsClearlyBetter) {
  Scene scene;
  scene.serve();
  scene.link("a", true);
  NodeState busy;
  busy.device = "a";
  busy.busy = 1;
  for (int i = 0; i < 30; ++i) {
    scene.send(StateReported{busy});
    scene.pass_alive(seconds(1));
  }
  EXPECT_EQ(scene.asked.size(), 1U) << "somebody waits for an answer";
  scene.pass_alive(Conductor::kStable + seconds(1));
  ASSERT_EQ(scene.asked.size(), 2U);
  EXPECT_EQ(scene.stage(), Stage::serving);
  scene.plan({plan_of({"a", "b", "c"}, 11)});
  EXPECT_EQ(scene.stage(), Stage::serving) << "10 % are not worth it";
  scene.pass_alive(seconds(100));
  EXPECT_EQ(scene.asked.size(), 2U);
  scene.link("d", true);
  scene.pass_alive(Conductor::kStable + seconds(1));
  ASSERT_EQ(scene.asked.size(), 3U);
  scene.plan({plan_of({"d", "b"}, 20)});
  EXPECT_EQ(scene.stage(), Stage::stopping);
  scene.confirm_stop();
  EXPECT_EQ(scene.stage(), Stage::starting) << "it was planned already";
  scene.report("b", Phase::ready);
  scene.report("d", Phase::ready);
  EXPECT_EQ(scene.stage(), Stage::serving);
  EXPECT_EQ(scene.wanted.at("c").role, Role::idle);
}

TEST(Conductor, ABetterPlanThatComesWhileSomebodyAsksIsMadeAgainAtTheNextQuietMoment) {
  Scene scene;
  scene.serve();
  scene.link("a", true);
  scene.pass_alive(Conductor::kStable + seconds(1));
  ASSERT_EQ(scene.asked.size(), 2U);
  NodeState busy;
  busy.device = "a";
  busy.busy = 1;
  scene.send(StateReported{busy});
  scene.plan({plan_of({"a", "b"}, 100)});
  EXPECT_EQ(scene.stage(), Stage::serving);
  scene.pass_alive(Conductor::kStable + seconds(1));
  EXPECT_EQ(scene.asked.size(), 3U);
}

TEST(Conductor, ABetterPlanWithADeviceThatIsLostAgainDisturbsNobody) {
  Scene scene;
  scene.serve();
  scene.link("a", true);
  scene.pass_alive(Conductor::kStable + seconds(1));
  ASSERT_EQ(scene.asked.size(), 2U);
  scene.lose("a");
  scene.plan({plan_of({"a", "b"}, 100)});
  EXPECT_EQ(scene.stage(), Stage::serving);
}

TEST(Conductor, OneOfSeveralReplicasFailsTheOtherGoesOn) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", true);
  scene.send(WishAsked{some_wish()});
  scene.pass(seconds(4));
  scene.plan({plan_of({"b"}), plan_of({"c"})});
  scene.report("b", Phase::ready);
  EXPECT_EQ(scene.stage(), Stage::serving) << "one is enough to answer";
  scene.report("c", Phase::ready);
  EXPECT_EQ(scene.conductor->plans().size(), 2U);
  scene.fail("c");
  scene.pass(Controller::kSettle);
  scene.report("c", Phase::idle);
  EXPECT_EQ(scene.stage(), Stage::serving);
  EXPECT_EQ(scene.conductor->plans().size(), 1U);
  EXPECT_EQ(scene.wanted.at("c").role, Role::idle);
  EXPECT_EQ(scene.wanted.at("b").role, Role::master);
  scene.fail("b");
  scene.pass(Controller::kSettle);
  scene.report("b", Phase::idle);
  EXPECT_NE(scene.stage(), Stage::serving);
}

TEST(Conductor, WhatRunsWithoutAnOrderOfThisControllerIsEnded) {
  Scene scene;
  scene.serve();
  scene.link("a", false);
  scene.report_running("a", Role::worker, Order{1, 5});
  ASSERT_TRUE(scene.wanted.contains("a"));
  EXPECT_EQ(scene.wanted.at("a").role, Role::idle);
  EXPECT_GT(scene.wanted.at("a").order, (Order{1, 5}));
  EXPECT_EQ(scene.stage(), Stage::serving);
}

// Followers.

TEST(Conductor, TheNewestRecordCountsAndIsPassedOn) {
  Scene scene;
  scene.send(DesiredHeard{desired_of(5, "a")});
  EXPECT_EQ(scene.stage(), Stage::follows);
  EXPECT_EQ(scene.remembered.size(), 1U);
  scene.send(DesiredHeard{desired_of(4, "c")});
  scene.send(DesiredHeard{desired_of(5, "a")});
  EXPECT_EQ(scene.remembered.size(), 1U) << "nothing new";
  scene.send(DesiredHeard{desired_of(6, "c", false)});
  EXPECT_EQ(scene.stage(), Stage::idle);
  EXPECT_EQ(scene.remembered.size(), 2U);
  EXPECT_FALSE(scene.conductor->controls());
}

TEST(Conductor, AControllerThatHearsOfANewerOneFollowsAndTouchesNothing) {
  Scene scene;
  scene.serve();
  const int before = scene.assigned;
  scene.send(DesiredHeard{desired_of(scene.conductor->desired().epoch + 1, "c")});
  EXPECT_EQ(scene.stage(), Stage::follows);
  EXPECT_TRUE(scene.conductor->plans().empty());
  scene.pass_alive(seconds(60));
  EXPECT_EQ(scene.assigned, before);
}

TEST(Conductor, AHolderTakesOverWhenTheControllerIsGoneForTenSeconds) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", false);
  scene.send(DesiredHeard{desired_of(5, "c")});
  scene.pass(seconds(100));
  EXPECT_FALSE(scene.conductor->controls());
  scene.lose("c");
  scene.pass(Conductor::kTakeOver - milliseconds(1));
  EXPECT_FALSE(scene.conductor->controls());
  scene.pass(milliseconds(1));
  EXPECT_TRUE(scene.conductor->controls());
  EXPECT_EQ(scene.conductor->desired().wish, some_wish());
  EXPECT_EQ(scene.stage(), Stage::planning) << "people wait";
  EXPECT_FALSE(scene.told.empty());
}

TEST(Conductor, HoldersWaitForThoseWithLowerIdsAndNobodyElseTakesOver) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("a", true);
  scene.link("c", true);
  scene.link("d", true);
  scene.send(DesiredHeard{desired_of(5, "d")});
  scene.lose("d");
  scene.pass(Conductor::kTakeOver + Conductor::kTakeOverStep - milliseconds(1));
  EXPECT_FALSE(scene.conductor->controls());
  scene.pass(milliseconds(1));
  EXPECT_TRUE(scene.conductor->controls());
  Scene without;
  without.send(CardHeard{"b", card_of(false)});
  without.send(DesiredHeard{desired_of(5, "d")});
  without.pass(seconds(600));
  EXPECT_FALSE(without.conductor->controls());
}

TEST(Conductor, AControllerThatComesBackInTimeStaysTheController) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", false);
  scene.send(DesiredHeard{desired_of(5, "c")});
  scene.lose("c");
  scene.pass(seconds(9));
  scene.link("c", false);
  scene.pass(seconds(100));
  EXPECT_FALSE(scene.conductor->controls());
}

TEST(Conductor, WhatStillAnswersIsNotDisturbedByATakeOver) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", false);
  scene.link("d", true);
  scene.send(DesiredHeard{desired_of(5, "c")});
  scene.report_running("d", Role::master, Order{5, 1});
  scene.lose("c");
  NodeState answering;
  answering.device = "d";
  answering.role = Role::master;
  answering.phase = Phase::ready;
  answering.order = Order{5, 1};
  answering.busy = 1;
  for (int i = 0; i < 60; ++i) {
    scene.send(StateReported{answering});
    scene.pass(seconds(1));
  }
  EXPECT_FALSE(scene.conductor->controls()) << "somebody waits for its answer";
  answering.busy = 0;
  scene.send(StateReported{answering});
  scene.pass(Conductor::kStable);
  EXPECT_TRUE(scene.conductor->controls());
  EXPECT_EQ(scene.wanted.at("d").role, Role::idle);
}

TEST(Conductor, WhenWhatAnsweredEndsTheTakeOverIsAtOnce) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", false);
  scene.link("d", true);
  scene.send(DesiredHeard{desired_of(5, "c")});
  scene.report_running("d", Role::master, Order{5, 1});
  scene.lose("c");
  NodeState busy = scene.state_of("b", Phase::idle);
  busy.busy = 1;
  for (int i = 0; i < 20; ++i) {
    scene.send(StateReported{busy});
    scene.pass(seconds(1));
  }
  scene.lose("d");
  EXPECT_TRUE(scene.conductor->controls());
}

TEST(Conductor, ARemovedControllerIsSucceeded) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", true);
  scene.send(DesiredHeard{desired_of(5, "c")});
  scene.send(PeerRemoved{"c"});
  scene.pass(Conductor::kTakeOver);
  EXPECT_TRUE(scene.conductor->controls());
}

// After a restart.

TEST(Conductor, AControllerThatStartsAgainBeginsAnewEpochOnceItHasListened) {
  Scene scene(desired_of(5, "b"));
  EXPECT_EQ(scene.stage(), Stage::waiting);
  scene.send(CardHeard{"b", card_of(true)});
  scene.pass(Conductor::kGather - milliseconds(1));
  EXPECT_TRUE(scene.remembered.empty());
  scene.pass(milliseconds(1));
  ASSERT_EQ(scene.remembered.size(), 1U);
  EXPECT_GT(scene.remembered[0].epoch, 5U);
  EXPECT_EQ(scene.remembered[0].wish, some_wish());
  EXPECT_EQ(scene.stage(), Stage::planning);
}

TEST(Conductor, AControllerThatStartsAgainFollowsWhoHasSucceededIt) {
  Scene scene(desired_of(5, "b"));
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(PeerLinked{"a"});
  scene.send(DesiredHeard{{6, "a", some_wish("other")}});
  scene.pass(seconds(60));
  EXPECT_EQ(scene.conductor->desired(), (Desired{6, "a", some_wish("other")}));
  EXPECT_TRUE(scene.asked.empty());
}

TEST(Conductor, WhatAPersonHasAskedForElsewhereMeanwhileCountsEvenIfItIsHeardOfLate) {
  const std::uint64_t first = next_epoch(0, "b", Claim::wish);
  Scene scene(desired_of(first, "b"));
  scene.send(CardHeard{"b", card_of(true)});
  scene.pass(seconds(60));  // alone, it has begun anew
  EXPECT_GT(scene.conductor->desired().epoch, first);
  scene.send(PeerLinked{"a"});
  scene.send(DesiredHeard{{next_epoch(first, "a", Claim::wish), "a", some_wish("other")}});
  EXPECT_EQ(scene.conductor->desired().wish, some_wish("other"));
}

TEST(Conductor, ADeviceThatHasForgottenThatItControlsBeginsAnew) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(PeerLinked{"a"});
  scene.send(DesiredHeard{desired_of(5, "b")});
  EXPECT_TRUE(scene.conductor->controls());
  EXPECT_GT(scene.conductor->desired().epoch, 5U);
}

TEST(Conductor, AfterARestartWithNothingWantedNothingIsDone) {
  Scene scene(desired_of(5, "b", false));
  scene.send(CardHeard{"b", card_of(true)});
  scene.pass(seconds(600));
  EXPECT_EQ(scene.stage(), Stage::idle);
  EXPECT_TRUE(scene.remembered.empty());
}

// Orphans.

TEST(Conductor, AWorkerWithoutControllerAndMasterEndsItselfOnce) {
  Scene scene;
  scene.link("a", true);
  scene.link("c", false);
  scene.send(DesiredHeard{desired_of(5, "a")});
  scene.report_running("b", Role::worker, Order{5, 1});
  scene.report_running("c", Role::master, Order{5, 1});
  scene.lose("a");
  scene.pass(seconds(600));
  EXPECT_FALSE(scene.wanted.contains("b")) << "its master is there";
  scene.lose("c");
  scene.report_running("b", Role::worker, Order{5, 1});
  ASSERT_TRUE(scene.wanted.contains("b"));
  EXPECT_EQ(scene.wanted.at("b").role, Role::idle);
  EXPECT_EQ(scene.wanted.at("b").order, (Order{5, 2}));
  scene.report_running("b", Role::worker, Order{5, 1});
  EXPECT_EQ(scene.assigned, 1);
}

TEST(Conductor, AWorkerWaitsAMinuteForItsController) {
  Scene scene;
  scene.link("a", true);
  scene.send(DesiredHeard{desired_of(5, "a")});
  scene.report_running("b", Role::worker, Order{5, 1});
  scene.lose("a");
  scene.pass(Conductor::kOrphan - milliseconds(1));
  EXPECT_TRUE(scene.wanted.empty());
  scene.pass(milliseconds(1));
  EXPECT_EQ(scene.wanted.at("b").role, Role::idle);
}

TEST(Conductor, WhatNobodyWantsAnyMoreEndsEvenWithoutAController) {
  Scene scene;
  scene.report_running("b", Role::master, Order{5, 1});
  scene.send(DesiredHeard{desired_of(6, "a", false)});
  scene.pass(Conductor::kTakeOver);
  ASSERT_TRUE(scene.wanted.contains("b"));
  EXPECT_EQ(scene.wanted.at("b").role, Role::idle);
}

}  // namespace
}  // namespace caravan::cluster
