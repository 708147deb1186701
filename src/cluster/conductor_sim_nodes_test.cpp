// The simulation in conductor_sim.h. No tests of its own; named so that it is a part of the test program
// only.
#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cluster/conductor_sim.h"

namespace caravan::cluster {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds kHeartbeat{2};

std::string text_of(Order order) { return fmt::format("{}.{}", order.epoch, order.generation); }

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

Result<std::vector<plan::Plan>> sim_plan(const std::vector<SimNode>& nodes, const Wish& wish,
                                         std::vector<std::string> devices, std::vector<std::string> holders) {
  const auto capacity = [&](const std::string& id) {
    return std::find_if(nodes.begin(), nodes.end(), [&](const SimNode& node) { return node.id == id; })
        ->capacity;
  };
  const auto stronger = [&](const std::string& a, const std::string& b) { return capacity(a) > capacity(b); };
  std::stable_sort(devices.begin(), devices.end(), stronger);
  std::stable_sort(holders.begin(), holders.end(), stronger);
  std::vector<plan::Plan> replicas;
  std::set<std::string> used;
  for (const std::string& master : holders) {
    if (used.contains(master)) continue;
    if (!replicas.empty() && wish.objective != plan::Objective::throughput) break;
    plan::Plan plan;
    plan.context = 512;
    std::vector<std::string> shares{master};
    std::uint64_t carried = capacity(master);
    for (const std::string& device : devices) {
      if (carried >= wish.size.count) break;
      if (device == master || used.contains(device)) continue;
      shares.push_back(device);
      carried += capacity(device);
    }
    if (carried < wish.size.count) break;
    for (const std::string& device : shares) {
      plan::Share share;
      share.device = device;
      share.rank = static_cast<int>(plan.shares.size());
      share.first_layer = share.rank * 4;
      share.layer_count = 4;
      plan.shares.push_back(share);
      used.insert(device);
    }
    plan.predicted.decode = static_cast<double>(capacity(master)) / static_cast<double>(shares.size());
    replicas.push_back(std::move(plan));
  }
  if (replicas.empty()) return Error{Code::exhausted, "it does not fit", ""};
  return replicas;
}

Simulation::Simulation(unsigned seed, bool trace) : random_(seed), tracing_(trace) {
  nodes_.resize(2 + below(5));
  engines_fail_ = chance(30) ? 15 : 0;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    SimNode& node = nodes_[i];
    node.id = std::string(1, static_cast<char>('a' + i));
    node.number = i;
    node.capacity = 1 + below(3);
    if (!chance(10)) node.card.engine_build = "b";
    if (!chance(10)) node.card.profile = plan::DeviceProfile{};
    for (int model = 1; model <= 2; ++model) {
      const Wish held = wish(model);
      if (chance(60)) node.card.models.push_back({held.file, held.size});
    }
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (i < 2 || chance(60)) start(i);
  }
}

Wish Simulation::wish(int model) {
  Wish wish;
  wish.model = fmt::format("m{}", model);
  wish.file = fmt::format("m{}.gguf", model);
  wish.size = Bytes{model == 1 ? 2U : 4U};
  if (chance(30)) wish.objective = plan::Objective::throughput;
  return wish;
}

void Simulation::at(milliseconds delay, std::function<void()> what) {
  queue_.emplace(now_ + delay, std::move(what));
}

milliseconds Simulation::between(int least, int most) {
  return milliseconds(least + static_cast<int>(below(static_cast<std::uint64_t>(most - least + 1))));
}

void Simulation::note(const std::function<std::string()>& text) {
  if (!tracing_) return;
  const auto time = std::chrono::duration<double>(now_.time_since_epoch() - std::chrono::hours(1));
  trace_.push_back(fmt::format("{:9.3f} {}", time.count(), text()));
}

void Simulation::run_for(milliseconds time) {
  const TimePoint end = now_ + time;
  while (!queue_.empty() && queue_.begin()->first <= end && broken_.empty()) {
    auto next = queue_.extract(queue_.begin());
    now_ = next.key();
    ++events_;
    next.mapped()();
  }
  now_ = end;
}

// Nodes and the network.

void Simulation::start(std::size_t number) {
  SimNode& node = nodes_[number];
  if (node.up || node.removed) return;
  note([&] { return node.id + " starts"; });
  node.up = true;
  ++node.life;
  node.busy = 0;
  node.tick_at.reset();
  node.wanted.reset();
  node.role.reset();
  ++node.role_number;
  node.conductor = std::make_unique<Conductor>(node.id, node.disk, now_);
  schedule_tick(node);
  for (const SimNode& other : nodes_) {
    if (other.number != number) connect(number, other.number);
  }
  const int life = node.life;
  at(between(0, 1000), [this, number, life] {
    SimNode& self = nodes_[number];
    if (self.up && self.life == life) feed(self, CardHeard{self.id, self.card});
  });
  at(between(0, 2000), [this, number, life] { heartbeat(number, life); });
}

void Simulation::crash(std::size_t number) {
  SimNode& node = nodes_[number];
  if (!node.up) return;
  note([&] { return node.id + " crashes"; });
  for (const SimNode& other : nodes_) {
    if (other.number != number) cut(number, other.number);
  }
  node.up = false;
  node.role.reset();
  ++node.role_number;
  node.conductor.reset();
  for (const SimNode& other : nodes_) {
    if (other.number != number) session(number, other.number).linked[number < other.number ? 0 : 1] = false;
  }
  workers_changed();
}

void Simulation::remove(std::size_t number) {
  crash(number);
  nodes_[number].removed = true;
  for (SimNode& node : nodes_) {
    if (node.number == number) continue;
    at(between(0, 3000), [this, number, other = node.number, life = node.life] {
      SimNode& self = nodes_[other];
      if (self.up && self.life == life) feed(self, PeerRemoved{nodes_[number].id});
    });
  }
}

void Simulation::cut(std::size_t a, std::size_t b) {
  SimSession& between_them = session(a, b);
  if (between_them.cut) return;
  between_them.cut = true;
  note([&] { return fmt::format("session {}-{} is cut", nodes_[a].id, nodes_[b].id); });
  const int number = between_them.number;
  at(between(0, 6000), [this, a, b, number] { lose(a, b, number); });
  at(between(0, 6000), [this, a, b, number] { lose(b, a, number); });
}

void Simulation::lose(std::size_t number, std::size_t peer, int session_number) {
  SimSession& between_them = session(number, peer);
  bool& linked = between_them.linked[number < peer ? 0 : 1];
  if (between_them.number != session_number || !linked) return;
  linked = false;
  note([&] { return fmt::format("{} loses {}", nodes_[number].id, nodes_[peer].id); });
  feed(nodes_[number], PeerLost{nodes_[peer].id, Error{Code::disconnected, "lost", ""}});
  workers_changed();
  connect(number, peer);
}

void Simulation::block(std::size_t a, std::size_t b, bool blocked) {
  session(a, b).blocked = blocked;
  if (blocked) cut(a, b);
}

/// Tries until there is a session, or one of the two is down.
void Simulation::connect(std::size_t a, std::size_t b) {
  at(between(50, 3000), [this, a, b] {
    SimSession& made = session(a, b);
    if (!nodes_[a].up || !nodes_[b].up || !made.cut) return;
    if (made.blocked || made.linked[0] || made.linked[1]) return connect(a, b);
    made.cut = false;
    const int number = ++made.number;
    made.delivered = {now_, now_};
    note([&] { return fmt::format("session {}-{}", nodes_[a].id, nodes_[b].id); });
    for (const auto& [self, peer] : {std::pair(a, b), std::pair(b, a)}) {
      const milliseconds delay = between(0, 50);
      made.delivered[self < peer ? 0 : 1] = now_ + delay;
      at(delay, [this, self, peer, number] {
        SimSession& now_there = session(self, peer);
        if (now_there.number != number || now_there.cut) return connect(self, peer);
        now_there.linked[self < peer ? 0 : 1] = true;
        SimNode& node = nodes_[self];
        feed(node, PeerLinked{nodes_[peer].id});
        send(self, peer, node.conductor->desired());
        send(self, peer, node.card);
        send(self, peer, state_of(node));
      });
    }
  });
}

void Simulation::send(std::size_t from, std::size_t to, Message message) {
  SimSession& through = session(from, to);
  if (through.cut || !through.linked[from < to ? 0 : 1]) return;
  TimePoint& last = through.delivered[to < from ? 0 : 1];
  last = std::max(last, now_ + between(1, chance(3) ? 1500 : 20));
  queue_.emplace(last, [this, from, to, number = through.number, sent = std::move(message)]() mutable {
    const SimSession& arriving = session(from, to);
    if (arriving.cut || arriving.number != number) return;
    receive(from, to, std::move(sent));
  });
}

void Simulation::tell_all(std::size_t from, const Message& message) {
  for (const SimNode& other : nodes_) {
    if (other.number != from) send(from, other.number, message);
  }
}

void Simulation::receive(std::size_t from, std::size_t to, Message message) {
  SimNode& node = nodes_[to];
  if (auto* desired = std::get_if<Desired>(&message)) feed(node, DesiredHeard{std::move(*desired)});
  if (auto* card = std::get_if<NodeCard>(&message)) feed(node, CardHeard{nodes_[from].id, std::move(*card)});
  if (auto* state = std::get_if<NodeState>(&message)) feed(node, StateReported{std::move(*state)});
  if (auto* assignment = std::get_if<Assignment>(&message)) assign(node, std::move(*assignment));
}

// Conductors.

void Simulation::feed(SimNode& node, const ConductorEvent& event) {
  if (!node.up) return;
  const Desired before = node.conductor->desired();
  std::vector<ConductorAction> actions = node.conductor->on(event, now_);
  if (is_newer(before, node.conductor->desired())) broken_ = node.id + " went back to an older record";
  for (ConductorAction& action : actions) carry_out(node, action);
  schedule_tick(node);
}

void Simulation::carry_out(SimNode& node, ConductorAction& action) {
  if (auto* remember = std::get_if<Remember>(&action)) {
    note([&] {
      const Desired& desired = remember->desired;
      return fmt::format("{} takes ({}, {}, {}) for the newest", node.id, desired.epoch, desired.controller,
                         desired.wish ? desired.wish->model : "nothing");
    });
    node.disk = remember->desired;
    tell_all(node.number, remember->desired);
  } else if (auto* told = std::get_if<Told>(&action)) {
    note([&] { return node.id + ": " + told->text; });
  } else if (auto* command = std::get_if<Assign>(&action)) {
    note([&] {
      return fmt::format("{} tells {} to be {} by {}", node.id, command->device,
                         name_of(command->assignment.role), text_of(command->assignment.order));
    });
    if (command->assignment.role != Role::idle) orders_.insert(command->assignment.order);
    if (command->device == node.id) return assign(node, std::move(command->assignment));
    send(node.number, static_cast<std::size_t>(command->device[0] - 'a'), std::move(command->assignment));
  } else if (auto* make = std::get_if<MakePlan>(&action)) {
    note([&] { return fmt::format("{} plans with {} devices", node.id, make->devices.size()); });
    auto planned = Planned{make->number, sim_plan(nodes_, make->wish, make->devices, make->holders)};
    at(between(10, 3000), [this, number = node.number, life = node.life, planned] {
      if (nodes_[number].life == life) feed(nodes_[number], planned);
    });
  }
}

void Simulation::schedule_tick(SimNode& node) {
  const auto deadline = node.conductor->next_deadline();
  if (deadline == node.tick_at) return;
  node.tick_at = deadline;
  if (!deadline) return;
  const TimePoint when = std::max(*deadline, now_);
  queue_.emplace(when, [this, number = node.number, life = node.life, deadline] {
    SimNode& self = nodes_[number];
    if (!self.up || self.life != life || self.tick_at != deadline) return;
    feed(self, Tick{});
    if (++ticks_[std::chrono::floor<seconds>(now_)] > 100) broken_ = "busy with ticks";
    if (self.tick_at && *self.tick_at <= now_) broken_ = self.id + "'s deadline does not move on";
  });
}

// Engines, as src/app/node.cpp has them.

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
  if (node.wanted) state.order = node.wanted->order;
  if (!node.role) return state;
  state.order = node.role->order;
  state.role = node.role->role;
  state.phase = node.phase;
  state.progress = node.progress;
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

// What happens to the cluster.

std::size_t Simulation::some_node_up() {
  for (;;) {
    const std::size_t number = below(nodes_.size());
    if (nodes_[number].up) return number;
    if (std::none_of(nodes_.begin(), nodes_.end(), [](const SimNode& node) { return node.up; }))
      return number;
  }
}

void Simulation::ask(std::size_t number, std::optional<Wish> wish) {
  SimNode& node = nodes_[number];
  if (!node.up) return;
  note([&] { return fmt::format("{} is asked for {}", node.id, wish ? wish->model : "nothing"); });
  feed(node, WishAsked{std::move(wish)});
}

void Simulation::disturb() {
  const std::size_t a = below(nodes_.size());
  const std::size_t b = (a + 1 + below(nodes_.size() - 1)) % nodes_.size();
  switch (below(12)) {
    case 0:
      return crash(a);
    case 1:
      return start(a);
    case 2:
      if (!nodes_[a].up && chance(10)) nodes_[a].disk = {};  // installed anew
      return start(a);
    case 3:
      return cut(a, b);
    case 4:
      return block(a, b, true);
    case 5:
      return block(a, b, false);
    case 6:
      return crash_engine(a);
    case 7:
      return ask(a, chance(15) ? std::nullopt : std::optional(wish(chance(50) ? 1 : 2)));
    case 8:
      for (std::size_t i = 0; i < nodes_.size(); ++i) {
        for (std::size_t j = i + 1; j < nodes_.size(); ++j) block(i, j, (i + a) % 2 != (j + a) % 2);
      }
      return;
    case 9:
      nodes_[a].busy = nodes_[a].busy > 0 ? 0 : 1;
      return;
    case 10:
      if (a > 0 && chance(30)) remove(a);  // somebody is left
      return;
    default:
      nodes_[a].card.profile = plan::DeviceProfile{};
      nodes_[a].card.engine_build = "b";
      if (nodes_[a].up) feed(nodes_[a], CardHeard{nodes_[a].id, nodes_[a].card});
      tell_all(a, nodes_[a].card);
  }
}

void Simulation::calm() {
  note([] { return "all is calm"; });
  engines_fail_ = 0;
  orders_.clear();
  for (auto& [pair, each] : sessions_) each.blocked = false;
  for (SimNode& node : nodes_) {
    node.busy = 0;
    if (!node.up && (chance(70) || node.number < 2)) start(node.number);
  }
}

std::string Simulation::unsettled() const {
  std::vector<std::string> devices;
  std::vector<std::string> holders;
  const SimNode* controller = nullptr;
  const SimNode* first = nullptr;
  for (const SimNode& node : nodes_) {
    if (!node.up) continue;
    if (first == nullptr) first = &node;
    const Desired& desired = node.conductor->desired();
    if (desired != first->conductor->desired()) return node.id + " has another record than " + first->id;
    if (node.conductor->controls()) controller = &node;
    if (!node.card.can_carry()) continue;
    devices.push_back(node.id);
    if (desired.wish && node.card.holds(desired.wish->file, desired.wish->size)) holders.push_back(node.id);
  }
  if (first == nullptr) return "";
  std::map<std::string, std::pair<Role, Order>> planned;
  const auto& wish = first->conductor->desired().wish;
  if (wish && controller == nullptr && !holders.empty()) return "nobody controls";
  if (wish && controller != nullptr) {
    const Conductor& conductor = *controller->conductor;
    const bool fits = !holders.empty() && sim_plan(nodes_, *wish, devices, holders).ok();
    const auto expected = fits ? Conductor::Stage::serving : Conductor::Stage::failed;
    if (conductor.stage() != expected)
      return fmt::format("{} is {} and not {}", controller->id, name_of(conductor.stage()),
                         name_of(expected));
    std::optional<Order> order;
    for (const plan::Plan* plan : conductor.plans()) {
      for (const plan::Share& share : plan->shares) {
        const SimNode& node = nodes_[static_cast<std::size_t>(share.device[0] - 'a')];
        if (!node.up || !node.role || node.phase != Phase::ready) return share.device + " is not ready";
        if (!order) order = node.role->order;
        if (node.role->order != *order) return share.device + " runs for another order";
        if (node.role->rank != share.rank) return share.device + " has another rank";
        planned[share.device] = {share.rank == 0 ? Role::master : Role::worker, *order};
      }
    }
    if (fits && planned.empty()) return "serving nothing";
  }
  for (const SimNode& node : nodes_) {
    if (!node.up || !node.role) continue;
    if (!planned.contains(node.id)) return node.id + " runs an orphan";
    if (planned.at(node.id).first != node.role->role) return node.id + " has another role";
  }
  return "";
}

}  // namespace caravan::cluster
