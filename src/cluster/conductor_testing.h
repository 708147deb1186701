// For tests: the conductor of one device among others that do what the test says.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cluster/conductor.h"

namespace caravan::cluster {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline Wish some_wish(const std::string& model = "m") {
  Wish wish;
  wish.model = model;
  wish.file = model + ".gguf";
  wish.size = Bytes{7};
  wish.data_path = DataPath::rpc;
  return wish;
}

inline NodeCard card_of(bool holds, bool measured = true) {
  NodeCard card;
  card.engine_build = std::string("b");  // gcc 12 warns of a bound that is none where "b" is assigned
  if (measured) card.profile = plan::DeviceProfile{};
  if (holds) card.models.push_back({"m.gguf", Bytes{7}});
  return card;
}

inline plan::Plan plan_of(const std::vector<std::string>& devices, double decode = 10,
                          DataPath path = DataPath::rpc) {
  plan::Plan plan;
  plan.predicted.decode = decode;
  plan.data_path = path;
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
  std::vector<HandOver> handed_over;
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
      if (const auto* handed = std::get_if<HandOver>(&action)) handed_over.push_back(*handed);
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
  void ask(const Wish& wish) { send(ChangeAsked{WishChange{wish, false, ""}}); }
  void ask_beside(const Wish& wish) { send(ChangeAsked{WishChange{wish, true, ""}}); }
  void stop(const std::string& model = "") { send(ChangeAsked{WishChange{std::nullopt, false, model}}); }
  /// b controls, c is linked, b (master) and c (worker) serve.
  void serve(const Wish& wish = some_wish()) {
    send(CardHeard{self, card_of(true)});
    report(self, Phase::idle);
    link("c", false);
    ask(wish);
    pass(seconds(4));
    plan({plan_of({"b", "c"}, 10, wish.data_path)});
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
  /// Of that model; without a name, of the one that is ended, else of the oldest.
  DeploymentView deployment(const std::string& model = "") const {
    DeploymentView found;
    for (DeploymentView& view : conductor->deployments()) {
      const bool fits =
          model.empty() ? found.model.empty() || view.stage == Stage::stopping : view.model == model;
      if (fits) found = std::move(view);
    }
    return found;
  }
  Stage stage(const std::string& model = "") const { return deployment(model).stage; }
  std::optional<Error> error(const std::string& model = "") const { return deployment(model).error; }
  std::size_t plans(const std::string& model = "") const { return deployment(model).plans.size(); }
};

inline Desired desired_of(std::uint64_t epoch, const std::string& controller, bool wish = true) {
  return {epoch, epoch, controller, wish ? std::vector{some_wish()} : std::vector<Wish>()};
}

}  // namespace caravan::cluster
