// What devices do that another one controls: taking over, coming back, ending what nobody uses.
#include "cluster/conductor_testing.h"

namespace caravan::cluster {
namespace {

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
  EXPECT_TRUE(scene.plans() == 0);
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
  EXPECT_EQ(scene.conductor->desired().wishes, std::vector{some_wish()});
  EXPECT_EQ(scene.stage(), Stage::planning) << "people wait";
  EXPECT_FALSE(scene.told.empty());
}

/// "b" has no link to the controller, "d"; "c", which has one, tells of it once a second.
TEST(Conductor, AControllerThatOthersSeeIsNotGone) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", false);
  scene.send(DesiredHeard{desired_of(5, "d")});
  NodeState told = scene.state_of("c", Phase::idle);
  told.controller = ControllerSign{5, milliseconds(0)};
  for (int second = 0; second < 60; ++second) {
    scene.send(StateReported{told});
    scene.pass(seconds(1));
  }
  EXPECT_FALSE(scene.conductor->controls());
  const auto sign = scene.conductor->controller_sign(scene.now);
  ASSERT_TRUE(sign);
  EXPECT_EQ(sign->epoch, 5U);
  EXPECT_EQ(sign->age, seconds(1) + Conductor::kHearsay);
  told.controller = ControllerSign{4, milliseconds(0)};  // of an older one: says nothing
  scene.send(StateReported{told});
  scene.pass(Conductor::kTakeOver - seconds(1) - milliseconds(1));
  EXPECT_FALSE(scene.conductor->controls());
  scene.pass(milliseconds(1));
  EXPECT_TRUE(scene.conductor->controls());
  EXPECT_EQ(scene.conductor->controller_sign(scene.now)->age, milliseconds(0));
}

/// "b" and "c" tell each other, with half a second on the way each time.
TEST(Conductor, TalkOfAControllerThatIsGoneDies) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", false);
  scene.send(DesiredHeard{desired_of(5, "d")});
  NodeState told = scene.state_of("c", Phase::idle);
  int seconds_passed = 0;
  for (; seconds_passed < 60 && !scene.conductor->controls(); ++seconds_passed) {
    const auto sign = scene.conductor->controller_sign(scene.now);
    told.controller = ControllerSign{5, sign->age + Conductor::kHearsay - milliseconds(1000)};
    scene.send(StateReported{told});
    scene.pass(seconds(1));
  }
  EXPECT_EQ(seconds_passed, 10);
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
  scene.pass(Fulfilment::kStable);
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
  scene.pass(Fulfilment::kGather - milliseconds(1));
  EXPECT_TRUE(scene.remembered.empty());
  scene.pass(milliseconds(1));
  ASSERT_EQ(scene.remembered.size(), 1U);
  EXPECT_GT(scene.remembered[0].epoch, 5U);
  EXPECT_EQ(scene.remembered[0].wishes, std::vector{some_wish()});
  EXPECT_EQ(scene.stage(), Stage::planning);
}

TEST(Conductor, AControllerThatStartsAgainFollowsWhoHasSucceededIt) {
  Scene scene(desired_of(5, "b"));
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(PeerLinked{"a"});
  scene.send(DesiredHeard{{6, 6, "a", {some_wish("other")}}});
  scene.pass(seconds(60));
  EXPECT_EQ(scene.conductor->desired(), (Desired{6, 6, "a", {some_wish("other")}}));
  EXPECT_TRUE(scene.asked.empty());
}

TEST(Conductor, WhatAPersonHasAskedForElsewhereMeanwhileCountsEvenIfItIsHeardOfLate) {
  const std::uint64_t first = next_epoch(0, "b", Claim::wish);
  Scene scene(desired_of(first, "b"));
  scene.send(CardHeard{"b", card_of(true)});
  scene.pass(seconds(60));  // alone, it has begun anew
  EXPECT_GT(scene.conductor->desired().epoch, first);
  scene.send(PeerLinked{"a"});
  scene.send(DesiredHeard{{next_epoch(first, "a", Claim::wish), first, "a", {some_wish("other")}}});
  EXPECT_EQ(scene.conductor->desired().wishes, std::vector{some_wish("other")});
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
