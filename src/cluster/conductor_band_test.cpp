// What the conductor does when a device becomes hot, or its battery low.
#include <gmock/gmock.h>

#include "cluster/conductor_testing.h"

namespace caravan::cluster {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

/// b and c serve; d is idle.
struct Warm : Scene {
  void begin() {
    link("d", false);
    serve();
    plan_again_if_asked();
    pass_alive(seconds(60));
    plan_again_if_asked();
    before = asked.size();
  }
  /// What runs is the best.
  void plan_again_if_asked() {
    if (!asked.empty()) plan({plan_of({"b", "c"})});
  }
  void band(const std::string& device, Band band) {
    send(BandChanged{device, band, "its battery has 43 °C"});
  }
  /// With the hot one taken for slow: what another plan gives, and what runs.
  void answer(std::vector<plan::Plan> replicas, double next, double running) {
    Planned planned{asked.back().number, std::move(replicas), {plan_of({"b", "c"})}};
    planned.weighed = Planned::Weighed{next, running};
    send(planned);
  }
  void busy_for(int time) {
    for (int second = 0; second < time; ++second) {
      NodeState busy = state_of("b", Phase::ready);
      busy.busy = 1;
      send(StateReported{busy});
      pass_alive(seconds(1));
      send(StateReported{busy});
    }
  }
  std::size_t before = 0;
};

TEST(ConductorBand, AHotDeviceIsPlannedAroundAtTheNextIdleMoment) {
  Warm scene;
  scene.begin();
  scene.busy_for(1);
  scene.band("c", Band::hot);
  EXPECT_THAT(scene.told, Contains(HasSubstr("c is hot: its battery has 43 °C")));
  scene.busy_for(60);
  EXPECT_EQ(scene.asked.size(), scene.before) << "never in the middle of an answer";
  scene.pass_alive(seconds(11));
  ASSERT_EQ(scene.asked.size(), scene.before + 1);
  EXPECT_THAT(scene.asked.back().slow, ElementsAre(Pair("c", speed_factor(Band::hot))));
  EXPECT_THAT(scene.asked.back().devices, Contains("c")) << "it may still be needed";
  scene.answer({plan_of({"b", "d"}, 8)}, 8, 5);
  EXPECT_EQ(scene.stage(), Stage::stopping);
  scene.confirm_stop();
  scene.report("d", Phase::ready);
  scene.report("b", Phase::ready);
  EXPECT_EQ(scene.stage(), Stage::serving);
  EXPECT_THAT(scene.wanted.at("d").role, Role::worker);
}

TEST(ConductorBand, OneThatTheOthersCannotDoWithoutStays) {
  Warm scene;
  scene.begin();
  scene.band("c", Band::hot);
  scene.pass_alive(seconds(11));
  ASSERT_EQ(scene.asked.size(), scene.before + 1);
  scene.answer({plan_of({"b", "c"}, 10)}, 5, 5);
  EXPECT_EQ(scene.stage(), Stage::serving);
  scene.pass_alive(seconds(1200));
  EXPECT_EQ(scene.asked.size(), scene.before + 1) << "and is not planned around again and again";
}

TEST(ConductorBand, APlanThatIsOnlyFasterWithoutTheHeatDoesNotCount) {
  Warm scene;
  scene.begin();
  scene.band("c", Band::hot);
  scene.pass_alive(seconds(11));
  scene.answer({plan_of({"c"}, 20)}, 5, 5);
  EXPECT_EQ(scene.stage(), Stage::serving);
}

TEST(ConductorBand, OneThatComesAndGoesIsPlannedForEveryFewMinutesAtMost) {
  Warm scene;
  scene.begin();
  const std::size_t before = scene.asked.size();
  for (int minute = 0; minute < 30; ++minute) {
    scene.band("c", minute % 2 == 0 ? Band::hot : Band::normal);
    for (int part = 0; part < 6; ++part) {
      const std::size_t asked = scene.asked.size();
      scene.pass_alive(seconds(10));
      if (scene.asked.size() > asked) scene.answer({plan_of({"b", "c"})}, 5, 5);
    }
  }
  EXPECT_LE(scene.asked.size(), before + 7);
  EXPECT_GE(scene.asked.size(), before + 4);
}

TEST(ConductorBand, BackWhenItHasCooled) {
  Warm scene;
  scene.begin();
  scene.band("c", Band::hot);
  scene.pass_alive(seconds(11));
  scene.answer({plan_of({"b", "d"}, 8)}, 8, 5);
  scene.confirm_stop();
  scene.report("d", Phase::ready);
  scene.report("b", Phase::ready);
  scene.pass_alive(seconds(400));
  const std::size_t before = scene.asked.size();
  scene.band("c", Band::normal);
  scene.pass_alive(seconds(11));
  ASSERT_EQ(scene.asked.size(), before + 1);
  EXPECT_TRUE(scene.asked.back().slow.empty());
  scene.send(
      Planned{scene.asked.back().number, std::vector{plan_of({"b", "c"}, 10)}, {plan_of({"b", "d"}, 8)}});
  EXPECT_EQ(scene.stage(), Stage::stopping);
}

TEST(ConductorBand, ACriticalOneCountsForEvenLess) {
  Warm scene;
  scene.begin();
  scene.band("c", Band::critical);
  EXPECT_THAT(scene.told, Contains(HasSubstr("c is to be spared")));
  scene.pass_alive(seconds(11));
  ASSERT_EQ(scene.asked.size(), scene.before + 1);
  EXPECT_THAT(scene.asked.back().slow, ElementsAre(Pair("c", speed_factor(Band::critical))));
}

TEST(ConductorBand, OneThatCarriesNothingIsNotToldOf) {
  Warm scene;
  scene.begin();
  scene.lose("d");
  const std::size_t told = scene.told.size();
  scene.band("d", Band::hot);
  scene.pass_alive(seconds(20));
  EXPECT_EQ(scene.told.size(), told);
  EXPECT_EQ(scene.asked.size(), scene.before);
}

}  // namespace
}  // namespace caravan::cluster
