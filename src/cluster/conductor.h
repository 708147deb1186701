// The conductor: who of the cluster's nodes controls, what should run, and when that is planned and started
// anew. Every node runs one; they agree through the Desired record alone. Pure: no socket, clock or thread.
//
// 1. The newest Desired counts everywhere (desired.h). Its controller plans and starts; the others do as they
//    are told and refuse what is older.
// 2. The device where a person asks for a model becomes the controller, with a new epoch. When the controller
//    is gone for kTakeOver, a device that holds the model's file takes over; several wait for each other in
//    the order of their ids. What answers meanwhile is left alone until nobody waits for it.
// 3. A replica that fails, loses a device or is asked for anew ends wholly, and the next is planned with the
//    devices that are there then; one whose engine has failed, or that comes and goes, is spared for a while,
//    if it goes without it.
//    Devices that come later lead to another plan only when nobody waits for an answer, and only when it is
//    clearly better.
// 4. A device whose controller is gone ends by itself what nobody wants or uses any more.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cluster/card.h"
#include "cluster/controller.h"
#include "cluster/desired.h"

namespace caravan::cluster {

/// Another node tells what it takes for the newest.
struct DesiredHeard {
  Desired desired;
};
/// A person wants this model on this device's say; nothing: no model.
struct WishAsked {
  std::optional<Wish> wish;
};
struct PeerLinked {
  std::string device;
};
/// The session with it has ended.
struct PeerLost {
  std::string device;
  Error reason;
};
/// It is no member any more.
struct PeerRemoved {
  std::string device;
};
/// Of another device or of this one.
struct CardHeard {
  std::string device;
  NodeCard card;
};
/// Answers MakePlan. Shares name devices by id.
struct Planned {
  std::uint64_t number = 0;  ///< of the MakePlan
  Result<std::vector<plan::Plan>> replicas;
};
using ConductorEvent = std::variant<DesiredHeard, WishAsked, PeerLinked, PeerLost, PeerRemoved, CardHeard,
                                    StateReported, Planned, Tick>;

/// Write it to the disk, then tell every linked device.
struct Remember {
  Desired desired;
};
/// Plan for these devices, which are linked and measured, then post Planned. Only `holders` can be master.
struct MakePlan {
  std::uint64_t number = 0;
  Wish wish;
  std::vector<std::string> devices;
  std::vector<std::string> holders;
};
/// For the person: something has happened.
struct Told {
  std::string text;
};
using ConductorAction = std::variant<Remember, MakePlan, Assign, Told>;

class Conductor {
 public:
  static constexpr std::chrono::seconds kTakeOver{10};
  static constexpr std::chrono::seconds kTakeOverStep{3};  ///< for each holder with a lower id
  static constexpr std::chrono::seconds kGather{3};  ///< quiet time before a plan: devices come together
  static constexpr std::chrono::seconds kGatherMost{20};
  static constexpr std::chrono::seconds kStable{10};  ///< how long a new device and an idle API have to last
  static constexpr std::chrono::seconds kOrphan{60};  ///< a worker without controller and master ends itself
  static constexpr std::chrono::seconds kPlanTime{60};
  static constexpr std::chrono::minutes kSpare{5};  ///< a device whose engine failed; doubled with each time
  /// An engine that fails that shortly before its device is lost has died with it, and is not to blame.
  static constexpr std::chrono::seconds kLastBreath{10};
  /// A device that was lost out of what ran, again within kSteady: doubled with each time.
  static constexpr std::chrono::minutes kFlapping{1};
  static constexpr std::chrono::minutes kSteady{15};
  static constexpr std::chrono::milliseconds kFirstRetry{500};
  static constexpr std::chrono::minutes kLongestRetry{5};
  static constexpr std::chrono::minutes kProven{2};  ///< serving that long, earlier failures are forgotten
  static constexpr double kWorthwhile = 1.15;        ///< so much faster, to disturb what runs

  enum class Stage {
    idle,     ///< no model is wanted
    follows,  ///< another device controls
    waiting,  ///< for devices, or for their speed to be measured
    planning,
    starting,
    serving,
    stopping,
    failed,  ///< see error(); tried again later, or when devices change
  };

  /// `desired` as it was found on the disk. With this device as its controller a new epoch begins, because
  /// the generations that were used are not known any more; kGather later, because others may know of a
  /// newer one.
  Conductor(std::string self, Desired desired, TimePoint now);

  std::vector<ConductorAction> on(const ConductorEvent& event, TimePoint now);
  std::optional<TimePoint> next_deadline() const;

  const Desired& desired() const { return desired_; }
  bool controls() const { return desired_.controller == self_; }
  Stage stage() const { return stage_; }
  const std::optional<Error>& error() const { return error_; }
  /// What runs or is being started. Empty unless this device controls.
  std::vector<const plan::Plan*> plans() const;

 private:
  using Actions = std::vector<ConductorAction>;
  struct Peer {
    bool linked = false;
    TimePoint since;  ///< when `linked` became what it is
    std::optional<NodeCard> card;
    std::optional<NodeState> state;
    Order failed_with;        ///< the newest order that its engine failed with
    TimePoint spare_until{};  ///< because of that
    int failures = 0;         ///< of its engine
    TimePoint failed_at{};    ///< the newest of them
    int losses = 0;           ///< out of what ran, each within kSteady of the one before
    TimePoint lost_at{};      ///< the newest of them
  };
  struct Run {
    plan::Plan plan;
    std::unique_ptr<Controller> controller;
    bool ended = false;
  };

  void handle(const DesiredHeard& event, TimePoint now, Actions& actions);
  void handle(const WishAsked& event, TimePoint now, Actions& actions);
  void handle(const PeerLinked& event, TimePoint now, Actions& actions);
  void handle(const PeerLost& event, TimePoint now, Actions& actions);
  void handle(const PeerRemoved& event, TimePoint now, Actions& actions);
  void handle(const CardHeard& event, TimePoint now, Actions& actions);
  void handle(const StateReported& event, TimePoint now, Actions& actions);
  void handle(const Planned& event, TimePoint now, Actions& actions);
  void handle(const Tick& event, TimePoint now, Actions& actions);

  void take_control(Desired desired, TimePoint now, Actions& actions);
  void adopt(Desired desired, TimePoint now, Actions& actions);
  void wait(TimePoint now, std::chrono::milliseconds least);
  void gather(TimePoint now, std::chrono::seconds patience);
  void fail(Error error, TimePoint retry_at);
  void devices_changed(TimePoint now, bool may_help);
  void note_engine_failure(Peer& peer, TimePoint now);
  static void note_loss(Peer& peer, bool was_running, TimePoint now);
  void proceed(TimePoint now, Actions& actions);
  void consider_take_over(TimePoint now, Actions& actions);
  void consider_better_plan(TimePoint now, Actions& actions);
  void end_if_orphan(TimePoint now, Actions& actions);
  void stop_stray(const NodeState& state, Actions& actions);
  std::optional<TimePoint> take_over_at() const;
  std::optional<TimePoint> orphan_at() const;
  std::optional<TimePoint> better_plan_at() const;
  bool holds(const Peer& peer) const;
  bool has_more_than(const std::set<std::string>& devices) const;
  bool everybody_measured() const;
  bool is_answering() const;

  // conductor_runs.cpp
  void make_plan(TimePoint now, Actions& actions);
  void ask_for_plan(bool spare, TimePoint now, Actions& actions);
  void change_plan(std::vector<plan::Plan> replicas, TimePoint now, Actions& actions);
  bool all_linked(const std::vector<plan::Plan>& replicas) const;
  void start_runs(std::vector<plan::Plan> replicas, TimePoint now, Actions& actions);
  void stop_runs(TimePoint now, Actions& actions);
  void feed_runs(const Event& event, TimePoint now, Actions& actions);
  void feed(Run& run, const Event& event, TimePoint now, Actions& actions);
  void runs_over(TimePoint now, Actions& actions);
  bool is_running(const std::string& device) const;

  std::string self_;
  Desired desired_;
  std::map<std::string, Peer> peers_;  ///< with this device, which is always linked
  Stage stage_ = Stage::idle;
  std::optional<Error> error_;
  std::vector<Run> runs_;
  std::uint64_t generation_ = 0;
  std::uint64_t plan_number_ = 0;
  std::set<std::string> planned_for_;  ///< the devices that the plan which runs could choose from
  std::set<std::string> asked_for_;    ///< those of the newest MakePlan
  TimePoint waiting_since_;
  TimePoint patient_until_;  ///< how long devices that are not measured yet are waited for
  TimePoint act_at_;         ///< when the stage has something to do by itself
  TimePoint serving_since_;
  TimePoint quiet_since_;
  TimePoint improve_after_;
  int failures_ = 0;
  bool plan_failed_ = false;                           ///< and not what was planned
  bool sparing_ = false;                               ///< the newest MakePlan leaves out who could be in it
  bool lost_device_ = false;                           ///< the run ends because of that
  bool begin_anew_ = false;                            ///< as the controller of an earlier life
  Order run_order_;                                    ///< of what runs
  Order orphaned_;                                     ///< of the work that this device has ended by itself
  bool improving_ = false;                             ///< what runs goes on while the plan is made
  std::optional<std::vector<plan::Plan>> next_plans_;  ///< to be started when what runs has ended
};

std::string_view name_of(Conductor::Stage stage);

}  // namespace caravan::cluster
