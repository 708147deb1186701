// Several models at once: none disturbs another, and each gets what the others leave.
#include "cluster/conductor_testing.h"

namespace caravan::cluster {
namespace {

/// Has both models, "m" and "n".
NodeCard card_of_both() {
  NodeCard card = card_of(true);
  card.models.push_back({"n.gguf", Bytes{7}});
  return card;
}

/// b controls and serves "m" with c; d and e, which hold both, are free.
struct Several : Scene {
  Several() {
    serve();
    for (const char* device : {"d", "e"}) join(device);
    pass_alive(Fulfilment::kStable + seconds(1));
    plan({plan_of({"b", "c"})});  // with all four it is no better
  }
  void join(const std::string& device) {
    send(PeerLinked{device});
    send(CardHeard{device, card_of_both()});
    report(device, Phase::idle);
  }
  /// "n" on d.
  void serve_beside() {
    ask_beside(some_wish("n"));
    pass_alive(seconds(4));
    plan({plan_of({"d"})});
    report("d", Phase::ready);
    ASSERT_EQ(stage("n"), Stage::serving);
  }
};

TEST(SeveralModels, AnotherOneBesideGetsTheFreeDevicesAndDisturbsNothing) {
  Several scene;
  const Order before = scene.wanted.at("b").order;
  const Desired record = scene.conductor->desired();
  scene.serve_beside();
  EXPECT_EQ(scene.asked.back().devices, (std::vector<std::string>{"d", "e"}));
  EXPECT_EQ(scene.asked.back().wish, some_wish("n"));
  EXPECT_EQ(scene.stage("m"), Stage::serving);
  EXPECT_EQ(scene.wanted.at("b").order, before);
  EXPECT_NE(scene.wanted.at("d").order, before) << "orders are given once";
  const Desired& now = scene.conductor->desired();
  EXPECT_EQ(now.wishes, (std::vector{some_wish("m"), some_wish("n")}));
  EXPECT_GT(now.epoch, next_epoch(record.epoch, "z", Claim::succession))
      << "outranks who knows nothing of it";
  EXPECT_EQ(now.since, record.since);
  EXPECT_EQ(scene.remembered.back(), now);
}

TEST(SeveralModels, TheSameModelAgainReplacesThatOneOnly) {
  Several scene;
  scene.serve_beside();
  const Order before = scene.wanted.at("b").order;
  Wish longer = some_wish("n");
  longer.context = 8192;
  scene.ask_beside(longer);
  EXPECT_EQ(scene.stage("n"), Stage::waiting) << "until the one before has ended";
  EXPECT_EQ(scene.wanted.at("d").role, Role::idle);
  scene.report("d", Phase::idle);
  EXPECT_EQ(scene.stage("n"), Stage::planning);
  EXPECT_EQ(scene.asked.back().wish, longer);
  EXPECT_EQ(scene.wanted.at("b").order, before);
  EXPECT_EQ(scene.conductor->deployments().size(), 2U);
  const auto remembered = scene.remembered.size();
  scene.ask_beside(longer);
  EXPECT_EQ(scene.remembered.size(), remembered) << "it is wished already";
}

TEST(SeveralModels, OneIsStoppedTheOtherGoesOnAndMayUseWhatIsFree) {
  Several scene;
  scene.serve_beside();
  const Order before = scene.wanted.at("b").order;
  scene.stop("n");
  EXPECT_EQ(scene.stage("n"), Stage::stopping);
  EXPECT_EQ(scene.wanted.at("d").role, Role::idle);
  scene.report("d", Phase::idle);
  EXPECT_EQ(scene.conductor->deployments().size(), 1U);
  EXPECT_EQ(scene.wanted.at("b").order, before);
  EXPECT_EQ(scene.conductor->desired().wishes, std::vector{some_wish("m")});
}

TEST(SeveralModels, APlainServeReplacesAllOfThem) {
  Several scene;
  scene.serve_beside();
  scene.ask(some_wish("n"));
  EXPECT_EQ(scene.conductor->desired().wishes, std::vector{some_wish("n")});
  EXPECT_EQ(scene.conductor->desired().since, scene.conductor->desired().epoch);
  scene.confirm_stop();
  scene.pass(seconds(1));
  EXPECT_EQ(scene.asked.back().devices.size(), 4U);
}

TEST(SeveralModels, AFailureTakesNothingFromOthersAndLosesNothingToThem) {
  Several scene;
  scene.ask_beside(some_wish("n"));
  scene.pass_alive(seconds(4));
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "too big", ""}});
  ASSERT_EQ(scene.stage("n"), Stage::failed);
  const auto asked = scene.asked.size();
  scene.fail("b");
  scene.pass(Controller::kSettle);
  scene.confirm_stop();
  ASSERT_EQ(scene.stage("m"), Stage::failed);
  EXPECT_EQ(scene.stage("n"), Stage::failed) << "b and c are kept for the next try";
  EXPECT_EQ(scene.asked.size(), asked);
  scene.pass(Fulfilment::kFirstRetry);
  EXPECT_EQ(scene.asked.back().wish, some_wish("m"));
  scene.plan({plan_of({"c", "b"})});
  EXPECT_EQ(scene.stage("m"), Stage::starting);
}

TEST(SeveralModels, WhatDoesNotFitSaysWhoHoldsWhichDevicesAndIsTriedWhenTheyAreFree) {
  Several scene;
  scene.ask_beside(some_wish("n"));
  scene.pass_alive(seconds(4));
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "300 MB are missing", ""}});
  ASSERT_EQ(scene.stage("n"), Stage::failed);
  const Error error = *scene.error("n");
  EXPECT_EQ(error.code, Code::exhausted);
  EXPECT_EQ(error.message, "300 MB are missing; b and c carry 'm'");
  EXPECT_NE(error.hint.find("--avoid"), std::string::npos);
  EXPECT_NE(error.hint.find("serve 'n' without --beside"), std::string::npos);
  scene.stop("m");
  scene.report("b", Phase::idle);
  scene.report("c", Phase::idle);
  ASSERT_EQ(scene.stage("n"), Stage::planning);
  EXPECT_EQ(scene.asked.back().devices, (std::vector<std::string>{"b", "c", "d", "e"}));
}

TEST(SeveralModels, WhoseHoldersAllCarryOthersIsToldSo) {
  Several scene;
  Wish mine = some_wish("m2");
  mine.file = "m.gguf";
  scene.lose("d");
  scene.lose("e");
  scene.ask_beside(mine);
  scene.pass_alive(seconds(4));
  ASSERT_EQ(scene.stage("m2"), Stage::failed);
  EXPECT_NE(scene.error("m2")->message.find("carry 'm'"), std::string::npos) << scene.error("m2")->message;
}

TEST(SeveralModels, ADeviceThatAnotherWishNamesIsLeftToIt) {
  Several scene;
  Wish mine = some_wish("n");
  mine.use = {"f"};
  scene.ask_beside(mine);
  scene.pass_alive(seconds(4));
  scene.plan({plan_of({"d"})});
  scene.report("d", Phase::ready);
  scene.join("f");
  scene.pass_alive(Fulfilment::kStable + seconds(1));
  EXPECT_EQ(scene.asked.back().wish, mine);
  scene.plan({plan_of({"d", "f"}, 5)});
  EXPECT_EQ(scene.stage("n"), Stage::stopping);
  EXPECT_EQ(scene.stage("m"), Stage::serving);
}

TEST(SeveralModels, PlansAreMadeOneAfterTheOtherTheOldestFirst) {
  Scene scene(Desired{5, 5, "b", {some_wish("m"), some_wish("n")}});
  scene.send(CardHeard{"b", card_of_both()});
  scene.send(PeerLinked{"c"});
  scene.send(CardHeard{"c", card_of_both()});
  scene.pass(seconds(8));
  ASSERT_EQ(scene.asked.size(), 1U);
  EXPECT_EQ(scene.asked[0].wish, some_wish("m"));
  scene.plan({plan_of({"b"})});
  ASSERT_EQ(scene.asked.size(), 2U);
  EXPECT_EQ(scene.asked[1].wish, some_wish("n"));
  EXPECT_EQ(scene.asked[1].devices, std::vector<std::string>{"c"});
}

TEST(SeveralModels, APlannerThatDoesNotAnswerHoldsOthersUpForTenSecondsOnly) {
  Scene scene(Desired{5, 5, "b", {some_wish("m"), some_wish("n")}});
  scene.send(CardHeard{"b", card_of_both()});
  scene.pass(Fulfilment::kGather);
  ASSERT_EQ(scene.asked.size(), 1U);
  scene.pass(Fulfilment::kPlanTurn);
  ASSERT_EQ(scene.asked.size(), 2U);
  scene.plan({plan_of({"b"})});
  EXPECT_EQ(scene.stage("n"), Stage::starting);
  scene.send(Planned{scene.asked[0].number, std::vector<plan::Plan>{plan_of({"b"})}});
  EXPECT_EQ(scene.stage("m"), Stage::waiting) << "that device is taken by now";
}

TEST(SeveralModels, APlainWorkerServesOneModelAtATime) {
  Scene scene;
  scene.send(CardHeard{"b", card_of_both()});
  scene.send(PeerLinked{"c"});
  scene.send(CardHeard{"c", card_of_both()});
  Wish first = some_wish("m");
  first.plain = {PlainWorker{"10.0.0.9", 50052, Bytes{100}, 0.004}};
  scene.ask(first);
  scene.pass(seconds(4));
  EXPECT_EQ(scene.asked.back().wish.plain.size(), 1U);
  scene.plan({plan_of({"b", "10.0.0.9:50052"})});
  scene.report("b", Phase::ready);
  ASSERT_EQ(scene.stage("m"), Stage::serving);
  Wish second = some_wish("n");
  second.plain = first.plain;
  scene.ask_beside(second);
  scene.pass_alive(seconds(4));
  EXPECT_EQ(scene.asked.back().devices, std::vector<std::string>{"c"});
  EXPECT_TRUE(scene.asked.back().wish.plain.empty());
  scene.plan({plan_of({"c", "10.0.0.9:50052"})});
  EXPECT_EQ(scene.stage("n"), Stage::waiting) << "it is another deployment's";
}

TEST(SeveralModels, AnswersOfOneModelAreNoReasonForAnotherToWait) {
  Several scene;
  scene.serve_beside();
  scene.join("f");
  NodeState busy = scene.state_of("f", Phase::idle);
  busy.busy = 1;
  busy.answering = {"n"};
  const auto asked = scene.asked.size();
  for (int i = 0; i < 12; ++i) {
    scene.send(StateReported{busy});
    scene.pass_alive(seconds(1));
  }
  ASSERT_EQ(scene.asked.size(), asked + 1);
  EXPECT_EQ(scene.asked.back().wish, some_wish("m"));
}

TEST(SeveralModels, AMemberThatAnotherControllerHasTakenIsLost) {
  Several scene;
  const Order order = scene.wanted.at("c").order;
  scene.report_running("c", Role::worker, Order{order.epoch + 1, 1});
  scene.pass(Controller::kSettle);
  scene.report("b", Phase::idle);
  scene.pass(Fulfilment::kFirstRetry);
  EXPECT_EQ(scene.stage("m"), Stage::planning);
  EXPECT_EQ(scene.asked.back().devices, (std::vector<std::string>{"b", "c", "d", "e"}));
}

// A change is handed over.

struct Follower : Scene {
  Follower() {
    send(CardHeard{"b", card_of_both()});
    link("c", true);
    send(DesiredHeard{desired_of(5, "c")});
  }
};

TEST(SeveralModels, WhatIsAskedForBesideGoesToTheControllerUntilItIsInTheRecord) {
  Follower scene;
  scene.ask_beside(some_wish("n"));
  EXPECT_FALSE(scene.conductor->controls());
  ASSERT_EQ(scene.handed_over.size(), 1U);
  EXPECT_EQ(scene.handed_over[0].device, "c");
  EXPECT_EQ(scene.handed_over[0].change.serve, some_wish("n"));
  EXPECT_EQ(scene.stage("n"), Stage::asked);
  scene.lose("c");
  scene.pass(seconds(5));
  scene.link("c", true);
  EXPECT_EQ(scene.handed_over.size(), 2U) << "it may not have heard";
  scene.send(DesiredHeard{{7, 5, "c", {some_wish("m"), some_wish("n")}}});
  EXPECT_EQ(scene.stage("n"), Stage::follows);
  scene.lose("c");
  scene.link("c", true);
  EXPECT_EQ(scene.handed_over.size(), 2U);
  EXPECT_TRUE(scene.conductor->pending().empty());
}

TEST(SeveralModels, WhoControlsNextIsGivenWhatIsNotDoneYet) {
  Follower scene;
  scene.link("d", true);
  scene.stop("m");
  scene.send(DesiredHeard{desired_of(6, "d")});
  ASSERT_EQ(scene.handed_over.size(), 2U);
  EXPECT_EQ(scene.handed_over[1].device, "d");
  EXPECT_EQ(scene.handed_over[1].change.stop, "m");
}

TEST(SeveralModels, WhenTheControllerIsLostMeanwhileItIsDoneHere) {
  Follower scene;
  scene.ask_beside(some_wish("n"));
  scene.lose("c");
  scene.pass(Conductor::kTakeOver - milliseconds(1));
  EXPECT_FALSE(scene.conductor->controls());
  scene.pass(milliseconds(1));
  EXPECT_TRUE(scene.conductor->controls());
  EXPECT_EQ(scene.conductor->desired().wishes, (std::vector{some_wish("m"), some_wish("n")}));
  EXPECT_TRUE(scene.conductor->pending().empty());
}

TEST(SeveralModels, EvenWhereNothingWasWantedAndByWhoHasNoModel) {
  Scene scene;
  scene.link("c", true);
  scene.send(DesiredHeard{desired_of(5, "c", false)});
  scene.ask_beside(some_wish("n"));
  ASSERT_EQ(scene.handed_over.size(), 1U);
  scene.lose("c");
  scene.pass(Conductor::kTakeOver);
  EXPECT_TRUE(scene.conductor->controls());
  EXPECT_EQ(scene.conductor->desired().wishes, std::vector{some_wish("n")});
}

TEST(SeveralModels, WithoutALinkedControllerItIsDoneHereAtOnce) {
  Follower scene;
  scene.lose("c");
  scene.ask_beside(some_wish("n"));
  EXPECT_TRUE(scene.conductor->controls());
  EXPECT_EQ(scene.conductor->desired().wishes, (std::vector{some_wish("m"), some_wish("n")}));
}

TEST(SeveralModels, TheControllerDoesWhatIsHandedOverAndOthersDoNot) {
  Several scene;
  const Order before = scene.wanted.at("b").order;
  scene.send(ChangeHeard{WishChange{some_wish("n"), true, ""}});
  EXPECT_EQ(scene.conductor->desired().wishes.size(), 2U);
  const auto remembered = scene.remembered.size();
  scene.send(ChangeHeard{WishChange{some_wish("n"), true, ""}});
  EXPECT_EQ(scene.remembered.size(), remembered) << "repeated, it changes nothing";
  EXPECT_EQ(scene.wanted.at("b").order, before);
  Follower other;
  other.send(ChangeHeard{WishChange{some_wish("n"), true, ""}});
  EXPECT_EQ(other.conductor->desired(), desired_of(5, "c"));
}

TEST(SeveralModels, ANewerRequestForAModelReplacesTheOneBefore) {
  Follower scene;
  scene.ask_beside(some_wish("n"));
  scene.stop("n");
  EXPECT_TRUE(scene.conductor->pending().empty()) << "it was never there";
  scene.ask_beside(some_wish("n"));
  scene.ask(some_wish("m"));
  EXPECT_TRUE(scene.conductor->pending().empty());
  EXPECT_EQ(scene.conductor->desired().wishes, std::vector{some_wish("m")});
}

TEST(SeveralModels, AModelTooManyIsTold) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  for (std::size_t i = 0; i <= kMostWishes; ++i) scene.ask_beside(some_wish("m" + std::to_string(i)));
  EXPECT_EQ(scene.conductor->desired().wishes.size(), kMostWishes);
  EXPECT_NE(scene.told.back().find("8 models"), std::string::npos);
}

// Without the controller.

TEST(SeveralModels, WhatRunsByAnOlderOrderOfTheSameControllerIsStillWanted) {
  Follower scene;
  scene.send(CardHeard{"b", card_of(false)});  // it cannot take over
  scene.report_running("b", Role::master, Order{5, 1});
  scene.send(DesiredHeard{{9, 5, "c", {some_wish("m"), some_wish("n")}}});
  scene.lose("c");
  scene.pass(seconds(600));
  EXPECT_TRUE(scene.wanted.empty());
  scene.send(DesiredHeard{{11, 11, "c", {some_wish("m"), some_wish("n")}}});
  scene.pass(Conductor::kOrphan);
  ASSERT_TRUE(scene.wanted.contains("b"));
  EXPECT_EQ(scene.wanted.at("b").role, Role::idle) << "of an earlier time of control";
}

TEST(SeveralModels, AMasterOfAModelThatIsWantedNoMoreEndsByItself) {
  Follower scene;
  NodeState state;
  state.device = "b";
  state.role = Role::master;
  state.phase = Phase::ready;
  state.order = {5, 1};
  state.model = "gone";
  state.busy = 1;
  scene.send(StateReported{state});
  scene.send(CardHeard{"b", card_of(false)});  // it cannot take over
  scene.lose("c");
  scene.pass(Conductor::kOrphan);
  ASSERT_TRUE(scene.wanted.contains("b"));
  EXPECT_EQ(scene.wanted.at("b").role, Role::idle);
}

}  // namespace
}  // namespace caravan::cluster
