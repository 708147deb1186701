// What a controller does about losses, failures and newcomers.
#include "cluster/conductor_testing.h"

namespace caravan::cluster {
namespace {

TEST(Conductor, AfterALossItPlansAgainWithoutDelayAndWithoutAnyCountOfFailures) {
  Scene scene;
  scene.serve();
  for (int i = 0; i < 8; ++i) {
    scene.lose("c");
    scene.pass(Controller::kSettle);
    scene.wanted.erase("c");
    scene.confirm_stop();
    ASSERT_EQ(scene.stage(), Stage::waiting);
    scene.pass(Fulfilment::kFirstRetry);
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
  scene.ask(some_wish());
  scene.pass(seconds(4));
  milliseconds expected = Fulfilment::kFirstRetry;
  for (int i = 0; i < 14; ++i) {
    scene.plan({plan_of({"b"})});
    scene.fail("b");
    scene.pass(Controller::kSettle);
    scene.confirm_stop();
    ASSERT_EQ(scene.stage(), Stage::failed) << i;
    EXPECT_EQ(scene.error()->message, "b failed");
    EXPECT_EQ(*scene.conductor->next_deadline() - scene.now, expected) << i;
    scene.pass(expected);
    ASSERT_EQ(scene.stage(), Stage::planning) << i;
    expected = std::min<milliseconds>(expected * 2, Fulfilment::kLongestRetry);
  }
  EXPECT_EQ(expected, Fulfilment::kLongestRetry);
  EXPECT_EQ(scene.asked.size(), 15U);
}

TEST(Conductor, WhatTheFabricCannotServeIsServedThroughRpc) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", false);
  Wish wish = some_wish();
  wish.data_path = DataPath::fabric;
  scene.ask(wish);
  scene.pass(seconds(4));
  ASSERT_EQ(scene.asked.back().wish.data_path, DataPath::fabric);
  scene.plan({plan_of({"b", "c"}, 10, DataPath::fabric)});
  ASSERT_EQ(scene.wanted.at("c").data_path, DataPath::fabric);
  scene.fail("c", Code::not_found);
  scene.pass(Controller::kSettle);
  scene.confirm_stop();
  EXPECT_NE(scene.told.back().find("RPC is used instead"), std::string::npos) << scene.told.back();
  scene.pass(Fulfilment::kFirstRetry);
  ASSERT_EQ(scene.stage(), Stage::planning);
  EXPECT_EQ(scene.asked.back().wish.data_path, DataPath::rpc) << "what is best with RPC may be another plan";
  EXPECT_EQ(scene.asked.back().devices, (std::vector<std::string>{"b", "c"})) << "nobody is spared for that";
  scene.plan({plan_of({"b", "c"})});
  EXPECT_EQ(scene.wanted.at("c").data_path, DataPath::rpc);
  scene.report("c", Phase::ready);
  scene.report("b", Phase::ready);
  EXPECT_EQ(scene.stage(), Stage::serving);
  EXPECT_EQ(scene.wanted.at("b").data_path, DataPath::rpc);
}

TEST(Conductor, AFabricThatLosesAPhoneIsTriedAgain) {
  Scene scene;
  Wish wish = some_wish();
  wish.data_path = DataPath::fabric;
  scene.serve(wish);
  EXPECT_EQ(scene.wanted.at("b").data_path, DataPath::fabric);
  scene.lose("c");
  scene.pass(Controller::kSettle);
  scene.wanted.erase("c");
  scene.confirm_stop();
  scene.pass(Fulfilment::kFirstRetry);
  scene.link("c", false);
  EXPECT_EQ(scene.asked.back().wish.data_path, DataPath::fabric);
  scene.plan({plan_of({"b", "c"}, 10, DataPath::fabric)});
  EXPECT_EQ(scene.wanted.at("c").data_path, DataPath::fabric);
}

TEST(Conductor, SaysWhyTheFabricIsNotUsed) {
  Scene scene;
  NodeCard with_fabric = card_of(true);
  with_fabric.fabric = true;
  scene.send(CardHeard{"b", with_fabric});
  scene.link("c", false);
  Wish wish = some_wish();
  wish.data_path = DataPath::fabric;
  scene.ask(wish);
  scene.pass(seconds(4));
  EXPECT_EQ(scene.asked.back().fabric, std::vector<std::string>{"b"});
  scene.plan({plan_of({"b", "c"})});
  EXPECT_EQ(scene.told.back(),
            "'m' goes through llama.cpp's RPC, not through the fabric: c has no caravan-worker");
  EXPECT_EQ(scene.wanted.at("c").data_path, DataPath::rpc);
}

TEST(Conductor, ServingForTwoMinutesForgivesEarlierFailures) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.ask(some_wish());
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
  scene.pass_alive(Fulfilment::kProven + seconds(1));
  fail_once();
  EXPECT_EQ(*scene.conductor->next_deadline() - scene.now, Fulfilment::kFirstRetry);
}

TEST(Conductor, ADeviceWhoseEngineFailedIsSparedForAWhileIfItGoesWithout) {
  Scene scene;
  scene.serve();
  scene.fail("c");
  scene.fail("b", Code::disconnected);
  scene.pass(Controller::kSettle);
  scene.confirm_stop();
  scene.pass(Fulfilment::kFirstRetry);
  ASSERT_EQ(scene.asked.size(), 2U);
  EXPECT_EQ(scene.asked.back().devices, std::vector<std::string>{"b"}) << "b only lost its worker";
  scene.plan({plan_of({"b"}, 5)});
  scene.report("b", Phase::ready);
  scene.pass_alive(Fulfilment::kSpare - seconds(10));
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
  scene.pass(Fulfilment::kFirstRetry);
  ASSERT_EQ(scene.asked.back().devices.size(), 1U);
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "too big", ""}});
  EXPECT_EQ(scene.stage(), Stage::planning);
  EXPECT_EQ(scene.asked.back().devices.size(), 2U);
}

TEST(Conductor, AnEngineThatDiesJustBeforeItsDeviceIsNotToBlame) {
  Scene scene;
  scene.serve();
  scene.fail("c");
  scene.pass(Controller::kSettle);
  scene.confirm_stop();
  scene.pass(Fulfilment::kFirstRetry);
  scene.plan({plan_of({"b"}, 5)});
  scene.report("b", Phase::ready);
  scene.lose("c");
  scene.wanted.erase("c");
  scene.link("c", false);
  scene.pass_alive(Fulfilment::kStable + seconds(1));
  ASSERT_EQ(scene.asked.size(), 3U);
  EXPECT_EQ(scene.asked.back().devices.size(), 2U);
}

TEST(Conductor, ADeviceThatComesAndGoesIsSparedLongerEachTimeUntilItStays) {
  Scene scene;
  scene.serve();
  const auto lose_and_return = [&] {
    scene.lose("c");
    scene.pass(Controller::kSettle);
    scene.wanted.erase("c");
    scene.confirm_stop();
    scene.pass(Fulfilment::kFirstRetry);
    scene.plan({plan_of({"b"}, 5)});
    scene.report("b", Phase::ready);
    scene.link("c", false);
  };
  const auto take_in_after = [&](seconds expected) {
    const std::size_t before = scene.asked.size();
    scene.pass_alive(expected - seconds(2));
    EXPECT_EQ(scene.asked.size(), before) << expected.count();
    scene.pass_alive(seconds(4));
    ASSERT_EQ(scene.asked.size(), before + 1) << expected.count();
    scene.plan({plan_of({"b", "c"}, 10)});
    scene.confirm_stop();
    scene.report("c", Phase::ready);
    scene.report("b", Phase::ready);
    ASSERT_EQ(scene.deployment().plans.front()->shares.size(), 2U);
  };
  for (const seconds expected : {seconds(10), seconds(60), seconds(120), seconds(240)}) {
    lose_and_return();
    take_in_after(expected);
  }
  scene.pass_alive(Conductor::kSteady);
  lose_and_return();
  take_in_after(seconds(10));
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
  scene.pass_alive(Fulfilment::kStable + seconds(1));
  ASSERT_EQ(scene.asked.size(), 2U);
  EXPECT_EQ(scene.stage(), Stage::serving);
  scene.plan({plan_of({"a", "b", "c"}, 11)});
  EXPECT_EQ(scene.stage(), Stage::serving) << "10 % are not worth it";
  scene.pass_alive(seconds(100));
  EXPECT_EQ(scene.asked.size(), 2U);
  scene.link("d", true);
  scene.pass_alive(Fulfilment::kStable + seconds(1));
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

TEST(Conductor, ADeviceThatThePersonAskedForIsTakenInThoughItIsSlower) {
  Scene scene;
  Wish wish = some_wish();
  wish.use = {"a"};
  scene.serve(wish);
  scene.link("a", true);
  scene.pass_alive(Fulfilment::kStable + seconds(1));
  scene.plan({plan_of({"a", "b", "c"}, 5)});
  EXPECT_EQ(scene.stage(), Stage::stopping);
}

TEST(Conductor, ABetterPlanThatComesWhileSomebodyAsksIsMadeAgainAtTheNextQuietMoment) {
  Scene scene;
  scene.serve();
  scene.link("a", true);
  scene.pass_alive(Fulfilment::kStable + seconds(1));
  ASSERT_EQ(scene.asked.size(), 2U);
  NodeState busy;
  busy.device = "a";
  busy.busy = 1;
  scene.send(StateReported{busy});
  scene.plan({plan_of({"a", "b"}, 100)});
  EXPECT_EQ(scene.stage(), Stage::serving);
  scene.pass_alive(Fulfilment::kStable + seconds(1));
  EXPECT_EQ(scene.asked.size(), 3U);
}

TEST(Conductor, ABetterPlanWithADeviceThatIsLostAgainDisturbsNobody) {
  Scene scene;
  scene.serve();
  scene.link("a", true);
  scene.pass_alive(Fulfilment::kStable + seconds(1));
  ASSERT_EQ(scene.asked.size(), 2U);
  scene.lose("a");
  scene.plan({plan_of({"a", "b"}, 100)});
  EXPECT_EQ(scene.stage(), Stage::serving);
}

TEST(Conductor, OneOfSeveralReplicasFailsTheOtherGoesOn) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", true);
  scene.ask(some_wish());
  scene.pass(seconds(4));
  scene.plan({plan_of({"b"}), plan_of({"c"})});
  scene.report("b", Phase::ready);
  EXPECT_EQ(scene.stage(), Stage::serving) << "one is enough to answer";
  scene.report("c", Phase::ready);
  EXPECT_EQ(scene.plans(), 2U);
  scene.fail("c");
  scene.pass(Controller::kSettle);
  scene.report("c", Phase::idle);
  EXPECT_EQ(scene.stage(), Stage::serving);
  EXPECT_EQ(scene.plans(), 1U);
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

}  // namespace
}  // namespace caravan::cluster
