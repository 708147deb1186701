// The conductor: who of the cluster's nodes controls, what should run, and what is done about it there. Every
// node runs one; they agree through the Desired record alone. Pure: no socket, clock or thread.
//
// 1. The newest Desired counts everywhere (desired.h). Its controller plans and starts, each wish for itself
//    (fulfilment.h); the others do as they are told and refuse what is older.
// 2. The device where a person asks for one model and no other, or for none, becomes the controller, with a
//    new epoch; what ran before ends. A change that leaves others alone goes to the controller, which makes
//    it in a new epoch too, but goes on with what runs. Until the asking device hears of a record with that
//    change in it, it hands it over again whenever it meets the controller.
// 3. When the controller is gone for kTakeOver, a device that holds a wished model's file takes over; several
//    wait for each other in the order of their ids. A device with a change that is not made yet takes over as
//    well, and makes it. Gone is who neither this device nor one that it is linked with, and so on, has
//    seen: devices that cannot reach each other need not both control. What answers meanwhile is left alone
//    until nobody waits for it.
// 4. A device whose controller is gone ends by itself what nobody wants or uses any more.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/fulfilment.h"

namespace caravan::cluster {

/// Another node tells what it takes for the newest.
struct DesiredHeard {
  Desired desired;
};
/// A person asks for this on this device.
struct ChangeAsked {
  WishChange change;
};
/// Another device hands it over; for the controller.
struct ChangeHeard {
  WishChange change;
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
/// It has become hot, or its battery low, or that is over; `why` as DeviceBand has it.
struct BandChanged {
  std::string device;
  Band band = Band::normal;
  std::string why;
};
using ConductorEvent = std::variant<DesiredHeard, ChangeAsked, ChangeHeard, PeerLinked, PeerLost, PeerRemoved,
                                    CardHeard, BandChanged, StateReported, Planned, Tick>;

/// For people.
struct DeploymentView {
  std::string model;
  Stage stage = Stage::idle;
  std::optional<Error> error;
  std::vector<const plan::Plan*> plans;  ///< what runs or is being started; only where this device controls
  DataPath data_path = DataPath::rpc;    ///< of these plans
};

class Conductor {
 public:
  static constexpr std::chrono::seconds kTakeOver{10};
  static constexpr std::chrono::seconds kTakeOverStep{3};  ///< for each holder with a lower id
  /// Added at each hand through which a sign of the controller goes: what two devices tell each other of one
  /// that is gone grows older, however long their messages take.
  static constexpr std::chrono::seconds kHearsay{2};
  static constexpr std::chrono::seconds kOrphan{60};  ///< a worker without controller and master ends itself
  /// An engine that fails that shortly before its device is lost has died with it, and is not to blame.
  static constexpr std::chrono::seconds kLastBreath{10};
  /// A device that was lost out of what ran, again within kSteady: doubled with each time.
  static constexpr std::chrono::minutes kFlapping{1};
  static constexpr std::chrono::minutes kSteady{15};

  /// `desired` as it was found on the disk. With this device as its controller a new epoch begins, because
  /// the generations that were used are not known any more; kGather later, because others may know of a
  /// newer one.
  Conductor(std::string self, Desired desired, TimePoint now);
  Conductor(const Conductor&) = delete;
  Conductor& operator=(const Conductor&) = delete;

  std::vector<ConductorAction> on(const ConductorEvent& event, TimePoint now);
  std::optional<TimePoint> next_deadline() const;

  const Desired& desired() const { return commons_.desired; }
  bool controls() const { return desired().controller == self_; }
  /// Of each wish, the oldest first; then what is asked for and not confirmed, and what is being ended.
  std::vector<DeploymentView> deployments() const;
  /// Asked for here, and not in the record yet.
  std::vector<WishChange> pending() const;
  /// For this device's state; nothing without a controller. At most a day old.
  std::optional<ControllerSign> controller_sign(TimePoint now) const;

 private:
  using Actions = std::vector<ConductorAction>;

  void handle(const DesiredHeard& event, TimePoint now, Actions& actions);
  void handle(const ChangeAsked& event, TimePoint now, Actions& actions);
  void handle(const ChangeHeard& event, TimePoint now, Actions& actions);
  void handle(const PeerLinked& event, TimePoint now, Actions& actions);
  void handle(const PeerLost& event, TimePoint now, Actions& actions);
  void handle(const PeerRemoved& event, TimePoint now, Actions& actions);
  void handle(const CardHeard& event, TimePoint now, Actions& actions);
  void handle(const BandChanged& event, TimePoint now, Actions& actions);
  void handle(const StateReported& event, TimePoint now, Actions& actions);
  void handle(const Planned& event, TimePoint now, Actions& actions);
  void handle(const Tick& event, TimePoint now, Actions& actions);

  static void note_loss(Peer& peer, bool was_running, TimePoint now);
  void take_control(std::vector<Wish> wishes, Claim claim, TimePoint now, Actions& actions);
  void adopt(Desired desired, TimePoint now, Actions& actions);
  void change_wishes(std::vector<Wish> wishes, TimePoint now, Actions& actions);
  void fulfil(bool patient, TimePoint now);
  void hand_over(Actions& actions);
  std::vector<Wish> wishes_with_pending(Actions& actions);
  void proceed(TimePoint now, Actions& actions);
  void tell_freed(TimePoint now);
  void consider_take_over(TimePoint now, Actions& actions);
  void end_if_orphan(TimePoint now, Actions& actions);
  void stop_stray(const NodeState& state, Actions& actions);
  void stop_strays(Actions& actions);
  bool is_running(const std::string& device) const;
  bool is_wanted(const NodeState& state) const;
  bool holds_any(const Peer& peer) const;
  bool is_linked(const std::string& device) const;
  std::optional<TimePoint> take_over_at() const;
  std::optional<TimePoint> orphan_at() const;
  bool is_answering() const;

  std::string self_;
  Commons commons_;
  std::vector<std::unique_ptr<Fulfilment>> fulfilments_;  ///< oldest wish first; empty unless this controls
  std::map<std::string, WishChange> pending_;             ///< by model
  TimePoint quiet_since_;                                 ///< nobody waits for an answer of any model
  bool begin_anew_ = false;                               ///< as the controller of an earlier life
  TimePoint controller_heard_{};                          ///< the newest sign of it that others have told of
  Order orphaned_;  ///< of the work that this device has ended by itself
};

}  // namespace caravan::cluster
