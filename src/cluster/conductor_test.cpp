// What a controller does from a wish to serving, and back to nothing.
#include "cluster/conductor_testing.h"

namespace caravan::cluster {
namespace {

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
  scene.ask(some_wish());
  ASSERT_EQ(scene.remembered.size(), 1U);
  EXPECT_EQ(scene.remembered[0].controller, "b");
  EXPECT_EQ(scene.remembered[0].wishes, std::vector{some_wish()});
  EXPECT_EQ(scene.stage(), Stage::waiting);
  scene.pass(Fulfilment::kGather);
  ASSERT_EQ(scene.asked.size(), 1U);
  EXPECT_EQ(scene.stage(), Stage::planning);
  EXPECT_EQ(scene.asked[0].devices, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(scene.asked[0].holders, std::vector<std::string>{"b"});
}

TEST(Conductor, WhenEverybodyIsThereLongEnoughItPlansAtOnce) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("a", false);
  scene.pass(Fulfilment::kGather);
  scene.ask(some_wish());
  EXPECT_EQ(scene.stage(), Stage::planning);
}

TEST(Conductor, DevicesThatComeTogetherAreGatheredButNotForEver) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.pass(seconds(10));
  scene.link("c0", false);
  scene.ask(some_wish());
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
  scene.ask(some_wish());
  scene.pass(seconds(10));
  EXPECT_EQ(scene.stage(), Stage::waiting);
  scene.send(CardHeard{"c", card_of(false)});
  scene.pass(Fulfilment::kGather);
  ASSERT_EQ(scene.stage(), Stage::planning);
  EXPECT_EQ(scene.asked[0].devices, (std::vector<std::string>{"b", "c"}));
}

TEST(Conductor, ADeviceThatIsNeverMeasuredIsNotWaitedForLongerThanTwentySeconds) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.send(PeerLinked{"c"});
  scene.ask(some_wish());
  scene.pass(Fulfilment::kGatherMost);
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
  EXPECT_EQ(scene.plans(), 1U);
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
  scene.stop();
  EXPECT_EQ(scene.stage(), Stage::stopping);
  EXPECT_TRUE(scene.remembered.back().wishes.empty());
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
    if (during != Stage::serving) scene.ask(some_wish());
    if (during == Stage::starting) {
      scene.confirm_stop();
      scene.pass(seconds(1));
      scene.plan({plan_of({"b", "c"})});
    }
    ASSERT_EQ(scene.stage(), during == Stage::stopping ? Stage::waiting : during) << "waits for its end";
    scene.ask(some_wish("other"));
    EXPECT_EQ(scene.stage(), Stage::stopping);
    scene.confirm_stop();
    scene.pass(seconds(30));
    EXPECT_EQ(scene.stage(), Stage::failed) << "nobody holds the other model";
    ASSERT_TRUE(scene.error());
    EXPECT_NE(scene.error()->message.find("other.gguf"), std::string::npos);
  }
}

TEST(Conductor, APlanThatIsOutOfDateIsNotStarted) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.ask(some_wish());
  scene.pass(seconds(4));
  const std::uint64_t old = scene.asked.back().number;
  scene.ask(some_wish());
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
  scene.ask(some_wish());
  scene.pass(seconds(4) + Fulfilment::kPlanTime + seconds(1));
  EXPECT_EQ(scene.asked.size(), 2U);
  EXPECT_EQ(scene.stage(), Stage::planning);
}

TEST(Conductor, ADeviceThatIsLostWhileItIsPlannedForLeadsToAnotherPlan) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.link("c", false);
  scene.ask(some_wish());
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
  scene.ask(some_wish());
  scene.pass(seconds(4));
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "too big", ""}});
  EXPECT_EQ(scene.stage(), Stage::failed);
  EXPECT_EQ(scene.error()->message, "too big");
  scene.pass(Fulfilment::kLongestRetry - seconds(1));
  EXPECT_EQ(scene.asked.size(), 1U);
  scene.pass(seconds(2));
  ASSERT_EQ(scene.asked.size(), 2U);
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "too big", ""}});
  scene.link("c", false);
  scene.pass(Fulfilment::kGather);
  ASSERT_EQ(scene.asked.size(), 3U);
  EXPECT_EQ(scene.asked.back().devices.size(), 2U);
}

TEST(Conductor, ADeviceThatComesWhileAPlanFailsIsPlannedWithAtOnce) {
  Scene scene;
  scene.send(CardHeard{"b", card_of(true)});
  scene.ask(some_wish());
  scene.pass(seconds(4));
  scene.link("c", false);
  scene.send(Planned{scene.asked.back().number, Error{Code::exhausted, "too big", ""}});
  scene.pass(Fulfilment::kGather);
  ASSERT_EQ(scene.asked.size(), 2U);
  EXPECT_EQ(scene.asked.back().devices.size(), 2U);
}

}  // namespace
}  // namespace caravan::cluster
