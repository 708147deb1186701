#include "cluster/controller.h"

#include <random>
#include <set>

#include <gtest/gtest.h>

namespace caravan::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

plan::Plan three_shares() {
  plan::Plan plan;
  plan.context = 2048;
  for (int rank = 0; rank < 3; ++rank) {
    plan::Share share;
    share.device = "phone-" + std::to_string(rank + 1);
    share.rank = rank;
    share.first_layer = rank * 10;
    share.layer_count = 10;
    share.weights = mebibytes(20);
    plan.shares.push_back(share);
  }
  return plan;
}

std::vector<ObservedLayers> as_planned(const plan::Plan& plan) {
  std::vector<ObservedLayers> observed;
  for (const plan::Share& share : plan.shares) {
    ObservedLayers entry{share.rank, {}, share.weights};
    for (int i = 0; i < share.layer_count; ++i) entry.layers.push_back(share.first_layer + i);
    observed.push_back(entry);
  }
  return observed;
}

/// A controller with nodes that do as they are told, at times that the test chooses.
struct Scene {
  TimePoint now{};
  plan::Plan plan = three_shares();
  Controller controller{Deployment{"/m.gguf", "m", plan, 1}, Order{7, 1}, now};
  std::map<std::string, Assignment> told;
  std::optional<Serving> serving;
  std::optional<Ended> ended;

  void send(const Event& event) {
    for (const Action& action : controller.on(event, now)) {
      if (const auto* assign = std::get_if<Assign>(&action)) told[assign->device] = assign->assignment;
      if (const auto* up = std::get_if<Serving>(&action)) serving = *up;
      if (const auto* end = std::get_if<Ended>(&action)) ended = *end;
    }
  }
  NodeState state_of(const std::string& device, Phase phase) {
    NodeState state;
    state.device = device;
    state.order = told.at(device).order;
    state.role = told.at(device).role;
    state.phase = phase;
    state.api = "http://127.0.0.1:1";
    if (phase == Phase::ready && state.role == Role::worker) state.rpc_port = 50000 + told.at(device).rank;
    if (phase == Phase::ready && state.role == Role::master) state.observed = as_planned(plan);
    return state;
  }
  void report(const std::string& device, Phase phase) { send(StateReported{state_of(device, phase)}); }
  void fail(const std::string& device, Error error) {
    NodeState state = state_of(device, Phase::failed);
    state.error = std::move(error);
    send(StateReported{state});
  }
  /// The heartbeat of a master that was not told anything yet.
  void report_idle_master() {
    NodeState state;
    state.device = "phone-1";
    send(StateReported{state});
  }
  void serve() {
    send(Tick{});
    report("phone-2", Phase::ready);
    report("phone-3", Phase::ready);
    report("phone-1", Phase::ready);
  }
  void let_pass(milliseconds time) {
    now += time;
    send(Tick{});
  }
};

TEST(Controller, StartsWorkersThenTheMasterThenServes) {
  Scene scene;
  scene.send(Tick{});
  EXPECT_EQ(scene.told.size(), 2U);
  EXPECT_EQ(scene.told.at("phone-2").role, Role::worker);
  EXPECT_EQ(scene.told.at("phone-3").rank, 2);
  scene.report("phone-2", Phase::ready);
  EXPECT_FALSE(scene.told.contains("phone-1")) << "phone-3 is not ready yet";
  scene.report("phone-3", Phase::ready);
  const Assignment master = scene.told.at("phone-1");
  EXPECT_EQ(master.role, Role::master);
  EXPECT_EQ(master.layers, (std::vector<int>{10, 10, 10}));
  ASSERT_EQ(master.workers.size(), 2U);
  EXPECT_EQ(master.workers[0].port, 50001);
  EXPECT_EQ(master.workers[1].device, "phone-3");
  EXPECT_FALSE(scene.serving);
  scene.report("phone-1", Phase::ready);
  ASSERT_TRUE(scene.serving);
  EXPECT_EQ(scene.serving->api, "http://127.0.0.1:1");
}

TEST(Controller, TheMasterHearsWhatTheWorkersNeedNotKnow) {
  Scene scene;
  scene.plan.speculation.lookup = 8;
  scene.plan.speculation.draft = 11;
  scene.controller = Controller(Deployment{"/m.gguf", "m", scene.plan, 1}, Order{7, 1}, scene.now);
  scene.send(Tick{});
  scene.report("phone-2", Phase::ready);
  scene.report("phone-3", Phase::ready);
  EXPECT_EQ(scene.told.at("phone-1").lookup, 8);
  EXPECT_EQ(scene.told.at("phone-1").draft, 11);
  EXPECT_EQ(scene.told.at("phone-2").draft, 0);
}

/// Each worker but the last has a way to the next one; the master hears whose key is whose, and where.
TEST(Controller, InTheFabricWorkersHandOnToEachOther) {
  Scene scene;
  Deployment deployment{"/m.gguf", "m", scene.plan, 1};
  deployment.data_path = DataPath::fabric;
  deployment.wire = engine::WireFormat::q8_0;
  scene.controller = Controller(deployment, Order{7, 1}, scene.now);
  scene.send(Tick{});
  EXPECT_EQ(scene.told.at("phone-2").data_path, DataPath::fabric);
  EXPECT_EQ(scene.told.at("phone-2").next, "phone-3");
  EXPECT_EQ(scene.told.at("phone-3").next, "");
  NodeState two = scene.state_of("phone-2", Phase::ready);
  two.worker_key = "key of 2";
  two.hand_off_port = 4711;
  scene.send(StateReported{two});
  NodeState three = scene.state_of("phone-3", Phase::ready);
  three.worker_key = "key of 3";
  scene.send(StateReported{three});
  const Assignment master = scene.told.at("phone-1");
  EXPECT_EQ(master.data_path, DataPath::fabric);
  EXPECT_EQ(master.wire, engine::WireFormat::q8_0);
  ASSERT_EQ(master.workers.size(), 2U);
  EXPECT_EQ(master.workers[0].key, "key of 2");
  EXPECT_EQ(master.workers[0].peer, "") << "the master's node makes the way to the first one";
  EXPECT_EQ(master.workers[1].key, "key of 3");
  EXPECT_EQ(master.workers[1].peer, "127.0.0.1:4711");
}

TEST(Controller, OnOneMachineWorkersReachEachOtherDirectly) {
  Scene scene;
  Deployment deployment{"/m.gguf", "m", scene.plan, 1};
  deployment.data_path = DataPath::fabric;
  deployment.is_one_machine = true;
  scene.controller = Controller(deployment, Order{7, 1}, scene.now);
  scene.send(Tick{});
  EXPECT_EQ(scene.told.at("phone-2").next, "");
  scene.report("phone-2", Phase::ready);
  scene.report("phone-3", Phase::ready);
  EXPECT_EQ(scene.told.at("phone-1").workers[1].peer, "127.0.0.1:50002");
}

TEST(Controller, StopsInReverse) {
  Scene scene;
  scene.serve();
  scene.send(StopAsked{});
  EXPECT_EQ(scene.told.at("phone-1").role, Role::idle);
  EXPECT_EQ(scene.told.at("phone-2").role, Role::worker) << "workers stay until the master has stopped";
  scene.report("phone-1", Phase::idle);
  EXPECT_EQ(scene.told.at("phone-2").role, Role::idle);
  scene.report("phone-2", Phase::idle);
  EXPECT_FALSE(scene.ended);
  scene.report("phone-3", Phase::idle);
  ASSERT_TRUE(scene.ended);
  EXPECT_FALSE(scene.ended->error);
  EXPECT_FALSE(scene.controller.next_deadline());
}

TEST(Controller, NamesTheDeadWorkerAndNotTheMasterThatItTookWithIt) {
  Scene scene;
  scene.serve();
  scene.fail("phone-1", Error{Code::disconnected, "llama-server lost a worker", ""});
  scene.now += milliseconds(100);
  scene.fail("phone-2", Error{Code::unavailable, "ggml-rpc-server on phone-2 was killed", ""});
  scene.let_pass(Controller::kSettle);
  scene.let_pass(Controller::kStop);
  ASSERT_TRUE(scene.ended && scene.ended->error);
  EXPECT_EQ(scene.ended->error->message, "ggml-rpc-server on phone-2 was killed");
}

TEST(Controller, APlainWorkerIsThereWithoutAnyNode) {
  plan::Plan plan = three_shares();
  plan.shares[2].device = "10.0.0.9:50052";
  Deployment deployment{"/m.gguf", "m", plan, 1, {PlainWorker{"10.0.0.9", 50052, mebibytes(500), 0.004}}};
  Scene scene{{}, plan, Controller{std::move(deployment), Order{7, 1}, TimePoint{}}, {}, {}, {}};
  scene.send(Tick{});
  EXPECT_EQ(scene.told.size(), 1U) << "nobody is asked to start it";
  scene.report("phone-2", Phase::ready);
  ASSERT_TRUE(scene.told.contains("phone-1"));
  const auto& workers = scene.told.at("phone-1").workers;
  ASSERT_EQ(workers.size(), 2U);
  EXPECT_FALSE(workers[0].is_plain);
  EXPECT_TRUE(workers[1].is_plain);
  EXPECT_EQ(workers[1].host, "10.0.0.9");
  EXPECT_EQ(workers[1].port, 50052);
  scene.report("phone-1", Phase::ready);
  ASSERT_TRUE(scene.serving);
  for (int i = 0; i < 20; ++i) {  // it never reports, and is not missed
    scene.now += seconds(1);
    scene.report("phone-1", Phase::ready);
    scene.report("phone-2", Phase::ready);
    scene.send(Tick{});
  }
  EXPECT_FALSE(scene.ended);
  scene.send(StopAsked{});
  scene.report("phone-1", Phase::idle);
  scene.report("phone-2", Phase::idle);
  ASSERT_TRUE(scene.ended);
  EXPECT_FALSE(scene.ended->error);
  EXPECT_EQ(scene.told.size(), 2U);
}

TEST(Controller, EndsWhenANodeIsGone) {
  Scene scene;
  scene.serve();
  scene.send(NodeGone{"phone-3", Error{Code::unavailable, "phone-3 was killed", ""}});
  scene.let_pass(Controller::kSettle);
  EXPECT_EQ(scene.told.at("phone-1").role, Role::idle);
  scene.report("phone-1", Phase::idle);
  scene.report("phone-2", Phase::idle);
  ASSERT_TRUE(scene.ended && scene.ended->error);
  EXPECT_EQ(scene.ended->error->message, "phone-3 was killed");
}

TEST(Controller, LosesASilentNodeAfterSixSecondsAndNotBefore) {
  Scene scene;
  scene.serve();
  scene.let_pass(seconds(5));
  scene.report("phone-1", Phase::ready);
  scene.report("phone-2", Phase::ready);
  EXPECT_EQ(scene.controller.stage(), Controller::Stage::serving);
  EXPECT_EQ(*scene.controller.next_deadline(), TimePoint{} + Controller::kNodeSilence);
  scene.let_pass(seconds(1));
  EXPECT_EQ(scene.controller.stage(), Controller::Stage::failing);
  scene.let_pass(Controller::kSettle);
  scene.let_pass(Controller::kStop);
  ASSERT_TRUE(scene.ended && scene.ended->error);
  EXPECT_NE(scene.ended->error->message.find("phone-3 has not answered"), std::string::npos);
}

TEST(Controller, RefusesAnEngineThatSplitsOtherwise) {
  Scene scene;
  scene.send(Tick{});
  scene.report("phone-2", Phase::ready);
  scene.report("phone-3", Phase::ready);
  NodeState state = scene.state_of("phone-1", Phase::ready);
  std::swap(state.observed[0].layers, state.observed[1].layers);
  scene.send(StateReported{state});
  EXPECT_FALSE(scene.serving);
  scene.let_pass(Controller::kSettle);
  scene.let_pass(Controller::kStop);
  ASSERT_TRUE(scene.ended && scene.ended->error);
  EXPECT_EQ(scene.ended->error->code, Code::incompatible);
}

TEST(Controller, LoadingMayTakeAsLongAsItMovesOn) {
  Scene scene;
  scene.send(Tick{});
  scene.report("phone-2", Phase::ready);
  scene.report("phone-3", Phase::ready);
  NodeState loading = scene.state_of("phone-1", Phase::loading);
  for (int step = 0; step < 100; ++step) {
    scene.now += seconds(5);
    loading.progress = step / 100.0;
    scene.send(StateReported{loading});
    scene.report("phone-2", Phase::ready);
    scene.report("phone-3", Phase::ready);
    scene.send(Tick{});
    ASSERT_EQ(scene.controller.stage(), Controller::Stage::loading) << step;
  }
  for (int step = 0; step < 24; ++step) {  // two minutes of heartbeats without progress
    scene.now += seconds(5);
    for (const char* device : {"phone-2", "phone-3"}) scene.report(device, Phase::ready);
    scene.send(StateReported{loading});
    scene.send(Tick{});
  }
  EXPECT_EQ(scene.controller.stage(), Controller::Stage::failing);
}

TEST(Controller, IgnoresWhatBelongsToAnOlderOrder) {
  Scene scene;
  scene.send(Tick{});
  NodeState old = scene.state_of("phone-2", Phase::failed);
  old.order.generation = 0;
  old.error = Error{Code::bug, "old news", ""};
  scene.send(StateReported{old});
  EXPECT_EQ(scene.controller.stage(), Controller::Stage::starting_workers);
}

TEST(Controller, AWorkerThatIsReadyWithoutAPortHasNotStarted) {
  Scene scene;
  scene.send(Tick{});
  NodeState portless = scene.state_of("phone-2", Phase::ready);
  portless.rpc_port = 0;
  scene.report("phone-3", Phase::ready);
  for (int step = 0; step < 20; ++step) {
    scene.send(StateReported{portless});
    scene.report("phone-3", Phase::ready);
    scene.report_idle_master();
    scene.let_pass(seconds(1));
  }
  EXPECT_EQ(scene.controller.stage(), Controller::Stage::failing);
  EXPECT_GT(*scene.controller.next_deadline(), scene.now) << "or its driver would spin";
}

/// Nodes that start, load, fail, fall silent and die at random times: every run ends, none serves before all
/// are ready, a failure is reported if and only if there was one, and nothing is left unasked to stop.
class ControllerSeeds : public ::testing::TestWithParam<unsigned> {};

TEST_P(ControllerSeeds, AlwaysEndsInTime) {
  std::mt19937 random(GetParam());
  const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
  Scene scene;
  std::set<std::string> dead;
  std::set<std::string> up;  // who is ready stays so until told otherwise
  bool failed = false;
  scene.send(Tick{});
  for (int step = 0; step < 4000 && !scene.ended; ++step) {
    scene.now += milliseconds(50);
    const auto told = scene.told;
    for (const auto& [device, assignment] : told) {
      if (dead.contains(device)) continue;
      if (chance(1) && chance(10)) {
        dead.insert(device);
        failed = true;
        if (chance(50)) scene.send(NodeGone{device, Error{Code::unavailable, device + " died", ""}});
      } else if (assignment.role == Role::idle) {
        scene.report(device, chance(20) ? Phase::idle : Phase::stopping);
      } else if (chance(1) && chance(10) && scene.controller.stage() != Controller::Stage::stopping) {
        failed = true;
        scene.fail(device, Error{Code::unavailable, device + " failed", ""});
      } else {
        if (chance(10)) up.insert(device);
        scene.report(device, up.contains(device) ? Phase::ready : Phase::starting);
      }
    }
    if (!scene.told.contains("phone-1")) scene.report_idle_master();
    if (scene.serving && chance(2)) scene.send(StopAsked{});
    const auto deadline = scene.controller.next_deadline();
    if (deadline && *deadline <= scene.now) scene.send(Tick{});
  }
  ASSERT_TRUE(scene.ended) << "seed " << GetParam();
  if (!failed) {
    EXPECT_FALSE(scene.ended->error) << scene.ended->error->message;
  }
  for (const auto& [device, assignment] : scene.told) {
    if (dead.contains(device)) continue;
    EXPECT_EQ(assignment.role, Role::idle) << device << ", seed " << GetParam();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ControllerSeeds, ::testing::Range(0U, 500U));

}  // namespace
}  // namespace caravan::cluster
