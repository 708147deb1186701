// For tests: a whole cluster in one process on a simulated clock and network. Nodes follow orders as
// src/app/node.cpp does; sessions, engines and nodes fail when the test says so. Same seed, same run.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cluster/conductor.h"

namespace caravan::cluster {

/// One device: its conductor, its disk, and at most one engine.
struct SimNode {
  std::string id;
  std::size_t number = 0;
  NodeCard card;
  std::uint64_t capacity = 1;  ///< of the models' sizes
  Desired disk;
  bool up = false;
  bool removed = false;
  int busy = 0;
  std::string answering;  ///< the model that it is busy with; empty: it does not tell

  // Of this life.
  int life = 0;
  std::unique_ptr<Conductor> conductor;
  std::optional<TimePoint> tick_at;
  std::optional<Assignment> wanted;
  std::optional<Assignment> role;
  Phase phase = Phase::idle;  ///< of `role`
  double progress = 0;
  std::optional<Error> error;
  int role_number = 0;  ///< what was scheduled for another role is void
};

/// Of two nodes. Messages within one keep their order; a cut loses what is under way, and either side hears
/// of it at a time of its own.
struct SimSession {
  int number = 0;
  bool cut = true;
  bool blocked = false;
  std::array<bool, 2> linked{};          ///< as the side with the lower and the higher number sees it
  std::array<TimePoint, 2> delivered{};  ///< the last message to that side
};

class Simulation {
 public:
  using Message = std::variant<Desired, WishChange, NodeCard, NodeState, Assignment>;

  Simulation(unsigned seed, bool trace);

  void run_for(std::chrono::milliseconds time);

  // Faults and wishes.
  void start(std::size_t node);
  void crash(std::size_t node);
  void remove(std::size_t node);
  void cut(std::size_t a, std::size_t b);
  void block(std::size_t a, std::size_t b, bool blocked);
  void crash_engine(std::size_t node);
  void ask(std::size_t node, const WishChange& change);
  /// Something that a person may ask for.
  WishChange some_change();
  /// Something random of the above, or a change of who waits for answers.
  void disturb();
  /// No faults any more: the network is whole and who is to come back does.
  void calm();

  /// Empty when everybody agrees and exactly that runs which should; else what is wrong.
  std::string unsettled() const;
  /// What must never be.
  const std::string& broken() const { return broken_; }
  const std::vector<std::string>& trace() const { return trace_; }
  /// What runs for this model: of each device, the order.
  std::map<std::string, Order> engines_of(const std::string& model) const;
  int runs_started() const { return static_cast<int>(orders_.size()); }
  std::size_t events() const { return events_; }
  Wish wish(int model);
  bool chance(int percent) { return below(100) < static_cast<std::uint64_t>(percent); }
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  std::size_t some_node_up();
  std::vector<SimNode>& nodes() { return nodes_; }
  TimePoint now() const { return now_; }

 private:
  std::string unsettled(const SimNode& controller,
                        std::map<std::string, std::pair<Role, Order>>& planned) const;
  void at(std::chrono::milliseconds delay, std::function<void()> what);
  std::chrono::milliseconds between(int least, int most);
  void note(const std::function<std::string()>& text);

  // Network.
  SimSession& session(std::size_t a, std::size_t b) { return sessions_[{std::min(a, b), std::max(a, b)}]; }
  void connect(std::size_t a, std::size_t b);
  void lose(std::size_t node, std::size_t peer, int number);
  void send(std::size_t from, std::size_t to, Message message);
  void tell_all(std::size_t from, const Message& message);
  void receive(std::size_t from, std::size_t to, Message message);

  // Conductors.
  void feed(SimNode& node, const ConductorEvent& event);
  void carry_out(SimNode& node, ConductorAction& action);
  void schedule_tick(SimNode& node);

  // Engines.
  void assign(SimNode& node, Assignment assignment);
  void follow(SimNode& node);
  void start_role(SimNode& node);
  void advance_role(SimNode& node);
  void fail_role(SimNode& node, Error error);
  void workers_changed();
  void lose_worker(SimNode& node);
  bool has_workers(const SimNode& master) const;
  NodeState state_of(const SimNode& node) const;
  void report(SimNode& node);
  void heartbeat(std::size_t number, int life);
  void later(SimNode& node, std::chrono::milliseconds delay, void (Simulation::*what)(SimNode&));

  std::mt19937 random_;
  bool tracing_;
  TimePoint now_{std::chrono::hours(1)};
  std::multimap<TimePoint, std::function<void()>> queue_;
  std::vector<SimNode> nodes_;
  std::map<std::pair<std::size_t, std::size_t>, SimSession> sessions_;
  std::set<std::pair<std::string, Order>> started_;  ///< engines, each once
  std::set<Order> orders_;                           ///< that something was started for
  std::map<TimePoint, int> ticks_;                   ///< in each second, of all nodes
  std::size_t events_ = 0;
  int engines_fail_ = 0;  ///< percent of the starts
  std::string broken_;
  std::vector<std::string> trace_;
};

/// "epoch.generation"
std::string text_of(Order order);

/// What the fake planner proposes: the strongest holder first, then as many others as it takes.
Result<std::vector<plan::Plan>> sim_plan(const std::vector<SimNode>& nodes, const Wish& wish,
                                         std::vector<std::string> devices, std::vector<std::string> holders);

}  // namespace caravan::cluster
