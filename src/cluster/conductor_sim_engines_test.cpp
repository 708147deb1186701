// The engines of the simulation in conductor_sim.h, as src/app/node.cpp has them. No tests of its own.
#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "cluster/conductor_sim.h"

namespace caravan::cluster {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds kHeartbeat{2};

std::vector<ObservedLayers> as_told(const Assignment& assignment) {
  std::vector<ObservedLayers> observed;
  int first = 0;
  for (std::size_t rank = 0; rank < assignment.layers.size(); ++rank) {
    ObservedLayers entry{static_cast<int>(rank), {}, {}};
    entry.layers.resize(static_cast<std::size_t>(assignment.layers[rank]));
    std::iota(entry.layers.begin(), entry.layers.end(), first);
    first += assignment.layers[rank];
    observed.push_back(std::move(entry));
  }
  return observed;
}

}  // namespace

void Simulation::assign(SimNode& node, Assignment assignment) {
  if (node.wanted && assignment.order < node.wanted->order) {
    note([&] { return fmt::format("{} refuses {}", node.id, text_of(assignment.order)); });
    return;
  }
  if (node.wanted && assignment.order == node.wanted->order) return;
  node.wanted = std::move(assignment);
  follow(node);
}

void Simulation::later(SimNode& node, milliseconds delay, void (Simulation::*what)(SimNode&)) {
  at(delay, [this, number = node.number, role = node.role_number, what] {
    SimNode& self = nodes_[number];
    if (self.up && self.role_number == role) (this->*what)(self);
  });
}

void Simulation::follow(SimNode& node) {
  if (node.role && node.role->order != node.wanted->order) {
    if (node.phase == Phase::stopping) return;
    node.phase = Phase::stopping;
    ++node.role_number;
    workers_changed();
    at(between(10, chance(5) ? 4000 : 800), [this, number = node.number, role = node.role_number] {
      SimNode& self = nodes_[number];
      if (!self.up || self.role_number != role) return;
      self.role.reset();
      report(self);
      follow(self);
    });
  } else if (!node.role && node.wanted->role != Role::idle) {
    start_role(node);
  }
  report(node);
}

void Simulation::start_role(SimNode& node) {
  node.role = node.wanted;
  node.phase = Phase::starting;
  node.progress = 0;
  node.error.reset();
  ++node.role_number;
  note([&] {
    return fmt::format("{} starts as {} by {}", node.id, name_of(node.role->role), text_of(node.role->order));
  });
  if (!started_.emplace(node.id, node.role->order).second)
    broken_ = fmt::format("{} started twice by {}", node.id, text_of(node.role->order));
  later(node, between(50, 3000), &Simulation::advance_role);
}

void Simulation::advance_role(SimNode& node) {
  if (node.phase == Phase::failed || node.phase == Phase::ready) return;
  if (node.phase == Phase::starting && chance(engines_fail_))
    return fail_role(node, Error{Code::unavailable, "the engine crashed", ""});
  const bool is_master = node.role->role == Role::master;
  if (is_master && !has_workers(node)) return fail_role(node, Error{Code::disconnected, "no worker", ""});
  if (is_master && node.progress < 1) {
    node.phase = Phase::loading;
    node.progress += 0.5;
    later(node, between(50, 4000), &Simulation::advance_role);
  } else {
    node.phase = Phase::ready;
  }
  report(node);
}

void Simulation::fail_role(SimNode& node, Error error) {
  note([&] { return fmt::format("{} fails: {}", node.id, error.message); });
  node.phase = Phase::failed;
  node.error = std::move(error);
  report(node);
  workers_changed();
}

void Simulation::crash_engine(std::size_t number) {
  SimNode& node = nodes_[number];
  if (!node.up || !node.role || node.phase == Phase::stopping || node.phase == Phase::failed) return;
  fail_role(node, Error{Code::unavailable, "the engine crashed", ""});
}

bool Simulation::has_workers(const SimNode& master) const {
  return std::all_of(
      master.role->workers.begin(), master.role->workers.end(), [&](const WorkerEndpoint& end) {
        const SimNode& worker = nodes_[static_cast<std::size_t>(end.device[0] - 'a')];
        const auto through =
            sessions_.find({std::min(master.number, worker.number), std::max(master.number, worker.number)});
        return through != sessions_.end() && through->second.linked[master.number < worker.number ? 0 : 1] &&
               worker.role && worker.role->order == master.role->order && worker.phase == Phase::ready;
      });
}

/// A master fails when its worker goes, a moment later.
void Simulation::workers_changed() {
  for (SimNode& node : nodes_) {
    const bool loads = node.up && node.role && node.role->role == Role::master &&
                       (node.phase == Phase::loading || node.phase == Phase::ready);
    if (!loads || has_workers(node)) continue;
    later(node, between(0, 100), &Simulation::lose_worker);
  }
}

void Simulation::lose_worker(SimNode& node) {
  if (node.phase != Phase::failed) fail_role(node, Error{Code::disconnected, "lost a worker", ""});
}

NodeState Simulation::state_of(const SimNode& node) const {
  NodeState state;
  state.device = node.id;
  state.busy = node.busy;
  if (node.conductor) state.controller = node.conductor->controller_sign(now_);
  if (node.busy > 0 && !node.answering.empty()) state.answering = {node.answering};
  if (node.wanted) state.order = node.wanted->order;
  if (!node.role) return state;
  state.order = node.role->order;
  state.role = node.role->role;
  state.phase = node.phase;
  state.progress = node.progress;
  if (state.role == Role::master) state.model = node.role->model_name;
  if (node.phase == Phase::failed) state.error = node.error;
  if (node.phase != Phase::ready) return state;
  if (state.role == Role::worker) state.rpc_port = 50000 + node.role->rank;
  if (state.role == Role::master) state.observed = as_told(*node.role);
  return state;
}

void Simulation::report(SimNode& node) {
  const NodeState state = state_of(node);
  tell_all(node.number, state);
  at(milliseconds(0), [this, number = node.number, life = node.life] {
    if (nodes_[number].life == life) feed(nodes_[number], StateReported{state_of(nodes_[number])});
  });
}

void Simulation::heartbeat(std::size_t number, int life) {
  SimNode& node = nodes_[number];
  if (!node.up || node.life != life) return;
  report(node);
  at(kHeartbeat, [this, number, life] { heartbeat(number, life); });
}

}  // namespace caravan::cluster
