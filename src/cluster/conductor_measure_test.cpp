// What the conductor does when a device has measured its speed anew.
#include <gmock/gmock.h>

#include "cluster/conductor_testing.h"

namespace caravan::cluster {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

NodeCard slower_card(bool holds) {
  NodeCard card = card_of(holds);
  card.profile->node_seconds = 1;
  return card;
}

/// b and c serve; then c measures itself anew, and a plan is asked for.
struct Measured : Scene {
  void measure() {
    serve();
    pass_alive(seconds(60));
    plans_before = asked.size();
    send(CardHeard{"c", slower_card(false)});
    pass_alive(seconds(25));
  }
  void answer(std::vector<plan::Plan> replicas, double running) {
    send(Planned{asked.back().number, std::move(replicas), {plan_of({"b", "c"}, running)}});
  }
  std::size_t plans_before = 0;
};

TEST(ConductorMeasure, APlanIsMadeAnewWithWhatRuns) {
  Measured scene;
  scene.measure();
  ASSERT_EQ(scene.asked.size(), scene.plans_before + 1);
  const MakePlan& asked = scene.asked.back();
  EXPECT_THAT(asked.devices, ElementsAre("b", "c"));
  ASSERT_EQ(asked.running.size(), 1U);
  EXPECT_EQ(asked.running.front().shares.at(1).device, "c");
  EXPECT_EQ(scene.stage(), Stage::serving) << "what runs goes on meanwhile";
}

TEST(ConductorMeasure, WhatRunsIsHeldAgainstTheNewPlanAsItIsNow) {
  Measured scene;
  scene.measure();
  // Half of what it was started for. The other one is less than that promised, but more than it gives.
  scene.answer({plan_of({"b"}, 7)}, 5);
  EXPECT_EQ(scene.stage(), Stage::stopping);
  EXPECT_THAT(scene.told, Contains(HasSubstr("expected to give 5.0 instead of 10.0")));
  scene.confirm_stop();
  scene.report("b", Phase::ready);
  EXPECT_EQ(scene.stage(), Stage::serving);
  EXPECT_EQ(scene.deployment().plans.front()->shares.size(), 1U);
}

TEST(ConductorMeasure, WhatIsHardlyBetterDisturbsNobody) {
  Measured scene;
  scene.measure();
  scene.answer({plan_of({"b"}, 5.5)}, 5);
  EXPECT_EQ(scene.stage(), Stage::serving);
  EXPECT_DOUBLE_EQ(scene.deployment().plans.front()->predicted.decode, 5) << "what is expected is told";
  scene.pass_alive(seconds(600));
  EXPECT_EQ(scene.asked.size(), scene.plans_before + 1) << "and it is not planned again and again";
}

TEST(ConductorMeasure, WhatIsNotKnownToBeSlowerStays) {
  Measured scene;
  scene.measure();
  scene.plan({plan_of({"b"}, 11)});  // whoever planned could not predict what runs
  EXPECT_EQ(scene.stage(), Stage::serving);
  EXPECT_DOUBLE_EQ(scene.deployment().plans.front()->predicted.decode, 10);
  EXPECT_THAT(scene.told, Not(Contains(HasSubstr("expected to give"))));
}

TEST(ConductorMeasure, NeverWhileSomebodyWaitsForAnAnswer) {
  Measured scene;
  scene.serve();
  scene.pass_alive(seconds(60));
  const std::size_t before = scene.asked.size();
  scene.send(CardHeard{"c", slower_card(false)});
  for (int second = 0; second < 100; ++second) {
    scene.pass_alive(seconds(1));
    NodeState busy = scene.state_of("b", Phase::ready);
    busy.busy = 1;
    scene.send(StateReported{busy});
  }
  EXPECT_EQ(scene.asked.size(), before);
  scene.pass_alive(seconds(11));
  EXPECT_EQ(scene.asked.size(), before + 1);
}

TEST(ConductorMeasure, MemoryThatComesAndGoesIsNoReason) {
  Measured scene;
  scene.serve();
  scene.pass_alive(seconds(60));
  const std::size_t before = scene.asked.size();
  NodeCard card = card_of(false);
  card.profile->memory = mebibytes(900);
  scene.send(CardHeard{"c", card});
  scene.pass_alive(seconds(60));
  EXPECT_EQ(scene.asked.size(), before);
}

}  // namespace
}  // namespace caravan::cluster
