// Nodes, the network and the conductors of the simulation in conductor_sim.h. No tests of its own; named so
// that it is a part of the test program only.
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cluster/conductor_sim.h"

namespace caravan::cluster {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string text_of(Order order) { return fmt::format("{}.{}", order.epoch, order.generation); }

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
    for (int model = 1; model <= 3; ++model) {
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
  wish.size = Bytes{model == 2 ? 4U : 2U};
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
        send(self, peer, node.conductor->desired());
        feed(node, PeerLinked{nodes_[peer].id});
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
  if (auto* change = std::get_if<WishChange>(&message)) feed(node, ChangeHeard{std::move(*change)});
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
      std::vector<std::string> models;
      for (const Wish& wish : desired.wishes) models.push_back(wish.model);
      return fmt::format("{} takes ({}, {}, [{}]) for the newest", node.id, desired.epoch, desired.controller,
                         fmt::join(models, " "));
    });
    node.disk = remember->desired;
    tell_all(node.number, remember->desired);
  } else if (auto* handed = std::get_if<HandOver>(&action)) {
    note([&] {
      return fmt::format("{} hands over '{}' to {}", node.id, model_of(handed->change), handed->device);
    });
    send(node.number, static_cast<std::size_t>(handed->device[0] - 'a'), std::move(handed->change));
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
    note([&] {
      return fmt::format("{} plans {} with {}", node.id, make->wish.model, fmt::join(make->devices, ""));
    });
    auto planned =
        Planned{make->number, sim_plan(nodes_, make->wish, make->devices, make->holders), make->running};
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

}  // namespace caravan::cluster
