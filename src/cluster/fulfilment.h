// What is done for one wish, on the device that controls: its replicas are planned, started, watched, and
// planned anew when one is lost, fails, or could be better; a device whose engine has failed, or that comes
// and goes, is spared for a while, if it goes without it. Pure: no socket, clock or thread.
//
// A device carries at most one share of one deployment. A deployment holds the devices of its plan from the
// moment that it is to be started, also while it fails and is tried again, until another plan of it runs,
// none can be made, or its wish is gone. Plans of others choose among the rest. So nothing that happens to
// one deployment takes a device away from another.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cluster/commons.h"
#include "cluster/controller.h"
#include "cluster/wish_change.h"

namespace caravan::cluster {

/// Of a deployment.
enum class Stage {
  idle,     ///< its wish is gone and nothing runs any more
  asked,    ///< told to the controller, who has not confirmed it
  follows,  ///< another device controls
  waiting,  ///< for devices, or for their speed to be measured
  planning,
  starting,
  serving,
  stopping,
  failed,  ///< see the error; tried again later, or when devices change
};
std::string_view name_of(Stage stage);

/// Answers MakePlan. Shares name devices by id.
struct Planned {
  std::uint64_t number = 0;  ///< of the MakePlan
  Result<std::vector<plan::Plan>> replicas;
  /// What runs, as it is predicted now: those of MakePlan's for which that can be done.
  std::vector<plan::Plan> running{};
  /// Tokens/s of `replicas` and of `running` with MakePlan's slow devices taken for that slow: what a change
  /// is worth. Nothing without such, or when what runs could not be predicted.
  struct Weighed {
    double replicas = 0;
    double running = 0;
  };
  std::optional<Weighed> weighed{};
};

/// Write it to the disk, then tell every linked device.
struct Remember {
  Desired desired;
};
/// Give the controller this change of what should run.
struct HandOver {
  std::string device;
  WishChange change;
};
/// Plan for these devices, which are linked and measured, then post Planned. Only `holders` can be master,
/// and only those in `fabric` have its programs. What runs is to be predicted again.
struct MakePlan {
  std::uint64_t number = 0;
  Wish wish;
  std::vector<std::string> devices;
  std::vector<std::string> holders;
  std::vector<std::string> fabric;
  std::vector<plan::Plan> running{};
  std::map<std::string, double>
      slow{};  ///< devices to be taken for slower than they are: part of their speed
};
/// For the person: something has happened.
struct Told {
  std::string text;
};
using ConductorAction = std::variant<Remember, HandOver, MakePlan, Assign, Told>;

class Fulfilment {
 public:
  static constexpr std::chrono::seconds kGather{3};  ///< quiet time before a plan: devices come together
  static constexpr std::chrono::seconds kGatherMost{20};
  static constexpr std::chrono::seconds kStable{10};  ///< how long a new device and an idle API have to last
  static constexpr std::chrono::seconds kPlanTime{60};
  static constexpr std::chrono::seconds kPlanTurn{10};  ///< how long others wait for its plan
  static constexpr std::chrono::minutes kSpare{5};  ///< a device whose engine failed; doubled with each time
  static constexpr std::chrono::milliseconds kFirstRetry{500};
  static constexpr std::chrono::minutes kLongestRetry{5};
  static constexpr std::chrono::minutes kProven{2};  ///< serving that long, earlier failures are forgotten
  static constexpr double kWorthwhile = 1.15;        ///< so much faster, to disturb what runs
  /// After a device has measured itself anew: others may be doing the same.
  static constexpr std::chrono::seconds kMeasuring{20};
  /// Between two plans because of devices that have become hot or cool.
  static constexpr std::chrono::minutes kBandPause{5};
  static constexpr double kWorthTelling = 0.1;  ///< such a change of what runs is to do

  using Actions = std::vector<ConductorAction>;

  /// Waits until the devices that have just come are complete, then plans. `patient`: waits also for those
  /// that are being measured. `commons` has to outlive it.
  Fulfilment(Wish wish, Commons& commons, TimePoint now, bool patient);
  ~Fulfilment();
  Fulfilment(const Fulfilment&) = delete;
  Fulfilment& operator=(const Fulfilment&) = delete;

  /// The wish is gone. What runs ends; Stage::idle when that is done.
  void end(TimePoint now, Actions& actions);
  void peer_lost(const std::string& device, const Error& reason, TimePoint now, Actions& actions);
  /// Of a device whose state is in the commons already.
  void reported(const NodeState& state, TimePoint now, Actions& actions);
  /// Of a device whose card is in the commons already. `held`: it had the model's file before. `speed`: it
  /// has measured itself anew, and what runs may not be the best any more.
  void card_changed(const std::string& device, bool held, bool speed, TimePoint now);
  /// Of a device whose band is in the commons already.
  void band_changed(const std::string& device, const std::string& why, Actions& actions);
  void planned(const Planned& plan, TimePoint now, Actions& actions);
  void tick(TimePoint now, Actions& actions) { feed_runs(Tick{}, now, actions); }
  /// Devices come, go or become measured. `may_help`: what could not be run may now run.
  void devices_changed(TimePoint now, bool may_help);
  /// Another deployment has let devices go.
  void devices_freed(TimePoint now);
  /// What is due by now.
  void proceed(TimePoint now, Actions& actions);
  std::optional<TimePoint> next_deadline() const;

  const Wish& wish() const { return wish_; }
  Stage stage() const { return stage_; }
  const std::optional<Error>& error() const { return error_; }
  bool is_ending() const { return ending_; }
  /// Of what runs.
  DataPath data_path() const;
  /// What runs or is being started.
  std::vector<const plan::Plan*> plans() const;
  bool is_running(const std::string& device) const;

 private:
  struct Run {
    plan::Plan plan;
    std::unique_ptr<Controller> controller;
    bool ended = false;
  };

  void wait(TimePoint now, std::chrono::milliseconds least);
  void gather(TimePoint now, std::chrono::seconds patience);
  void fail(Error error, TimePoint retry_at);
  void fail_to_plan(Error error, TimePoint now);
  void note_engine_failure(Peer& peer, TimePoint now);
  void consider_better_plan(TimePoint now, Actions& actions);
  std::optional<TimePoint> better_plan_at() const;
  /// When it may have a plan made; nothing: somebody else has to be done first.
  std::optional<TimePoint> turn_at() const;
  void let_others_plan();
  /// From now on it holds exactly these devices.
  void hold(const std::set<std::string>& devices, TimePoint now);
  bool is_available(const std::string& device, const Peer& peer) const;
  bool has_more_than(const std::set<std::string>& devices) const;

  // fulfilment_runs.cpp
  void make_plan(TimePoint now, Actions& actions);
  void ask_for_plan(bool spare, TimePoint now, Actions& actions);
  void predict_runs(const std::vector<plan::Plan>& predicted, Actions& actions);
  void change_plan(const Planned& plan, TimePoint now, Actions& actions);
  bool all_available(const std::vector<plan::Plan>& replicas) const;
  /// "'b' carries m1, 'c' carries m2"; empty when no device is another deployment's.
  std::string held_by_others() const;
  Error with_holders(Error error) const;
  void start_runs(std::vector<plan::Plan> replicas, TimePoint now, Actions& actions);
  void stop_runs(TimePoint now, Actions& actions);
  void feed_runs(const Event& event, TimePoint now, Actions& actions);
  void feed(Run& run, const Event& event, TimePoint now, Actions& actions);
  void run_ended(TimePoint now);
  bool fall_back_to_rpc(TimePoint now, Actions& actions);
  void tell_data_path(const plan::Plan& plan, Actions& actions) const;
  void runs_over(TimePoint now, Actions& actions);

  Wish wish_;
  Commons& commons_;
  Stage stage_ = Stage::waiting;
  bool ending_ = false;
  std::optional<Error> error_;
  std::vector<Run> runs_;
  /// As wished, until the fabric could not begin to serve.
  DataPath data_path_;
  std::uint64_t plan_number_ = 0;      ///< of its newest MakePlan; 0: none that counts
  std::set<std::string> planned_for_;  ///< the devices that the plan which runs could choose from
  std::set<std::string> asked_for_;    ///< those of the newest MakePlan
  TimePoint waiting_since_;
  TimePoint patient_until_;  ///< how long devices that are not measured yet are waited for
  TimePoint act_at_;         ///< when the stage has something to do by itself
  TimePoint serving_since_;
  TimePoint quiet_since_;
  TimePoint improve_after_;
  bool banded_ = false;     ///< a device has become hot or cool, and no plan was made with that
  TimePoint band_after_{};  ///< earliest plan because of that
  int failures_ = 0;
  bool plan_failed_ = false;                           ///< and not what was planned
  bool sparing_ = false;                               ///< the newest MakePlan leaves out who could be in it
  bool lost_device_ = false;                           ///< the run ends because of that
  Order run_order_;                                    ///< of what runs
  bool improving_ = false;                             ///< what runs goes on while the plan is made
  std::optional<std::vector<plan::Plan>> next_plans_;  ///< to be started when what runs has ended
};

}  // namespace caravan::cluster
