// The controller: which command goes to which node next, so that a plan comes to run. Pure: no socket, clock
// or thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/units.h"
#include "cluster/messages.h"
#include "cluster/plain_worker.h"
#include "plan/plan.h"

namespace caravan::cluster {

/// What the person asked for: this model, run by this plan.
struct Deployment {
  std::string model_path;
  std::string model_name;
  plan::Plan plan;
  int threads = 1;  ///< for each engine process
  /// The shares that are called like one of these need no node: whoever named them has started them.
  std::vector<PlainWorker> plain = {};
  DataPath data_path = DataPath::rpc;
  engine::WireFormat wire = engine::WireFormat::f32;  ///< in the fabric
  bool is_one_machine = false;  ///< all nodes: workers reach each other at their own addresses
};

/// A node reported its state (a change, or its heartbeat).
struct StateReported {
  NodeState state;
};
/// A node is gone; `reason` says how that is known.
struct NodeGone {
  std::string device;
  Error reason;
};
/// The person wants the replica to end.
struct StopAsked {};
/// Time has passed (see next_deadline).
struct Tick {};
using Event = std::variant<StateReported, NodeGone, StopAsked, Tick>;

/// Give this node this assignment.
struct Assign {
  std::string device;
  Assignment assignment;
};
/// The replica answers at `api`.
struct Serving {
  std::string device;
  std::string api;
};
/// The replica has ended: by request, or for `error`.
struct Ended {
  std::optional<Error> error;
};
using Action = std::variant<Assign, Serving, Ended>;

/// Drives one replica from nothing to serving, and to its end. Workers first, then the master, in reverse at
/// the end. Any failure ends the replica; its cause is chosen among all failures that are reported within
/// `kSettle`, since a dead worker takes the engine on the master with it and either may be heard of first.
class Controller {
 public:
  static constexpr std::chrono::milliseconds kSettle{400};
  static constexpr std::chrono::seconds kWorkerStart{20};
  static constexpr std::chrono::seconds kLoadSilence{120};  ///< longest loading without progress
  static constexpr std::chrono::seconds kNodeSilence{
      6};  ///< a node that silent is lost (design: suspect 3 s, lost 6 s)
  static constexpr std::chrono::seconds kStop{2};

  /// `order` is that of everything it starts; what it stops has the generation behind.
  Controller(Deployment deployment, Order order, TimePoint now);

  std::vector<Action> on(const Event& event, TimePoint now);
  /// When to send a Tick, if nothing else happens before.
  std::optional<TimePoint> next_deadline() const;

  enum class Stage { starting_workers, loading, serving, failing, stopping, ended };
  Stage stage() const { return stage_; }

 private:
  struct Member {
    const plan::Share* share;
    const PlainWorker* plain;  ///< nothing for a device
    std::optional<NodeState> state;
    TimePoint last_seen;
    bool gone = false;
    bool told_to_stop = false;
  };
  using Actions = std::vector<Action>;

  void handle(const StateReported& event, TimePoint now, Actions& actions);
  void handle(const NodeGone& event, TimePoint now, Actions& actions);
  void handle(const StopAsked& event, TimePoint now, Actions& actions);
  void handle(const Tick& event, TimePoint now, Actions& actions);

  void advance(TimePoint now, Actions& actions);
  void note_failure(Error error, TimePoint now);
  void begin_stopping(TimePoint now, Actions& actions);
  void end_if_stopped(TimePoint now, Actions& actions);
  void expire(TimePoint now);
  std::string peer_of(const plan::Share& share) const;
  Assignment assignment_for(const plan::Share& share) const;
  /// As a worker; the master's turn comes when all are.
  static bool is_started(const Member& member);
  bool all_workers_ready() const;
  Member& master();

  Deployment deployment_;
  Order order_;
  Stage stage_ = Stage::starting_workers;
  std::map<std::string, Member> members_;
  std::vector<Error> failures_;
  TimePoint stage_deadline_;
  double last_progress_ = -1;
  bool begun_ = false;
};

}  // namespace caravan::cluster
