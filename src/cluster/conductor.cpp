#include "cluster/conductor.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace caravan::cluster {

std::string_view name_of(Conductor::Stage stage) {
  constexpr std::array<std::string_view, 8> kNames{"idle",     "follows", "waiting",  "planning",
                                                   "starting", "serving", "stopping", "failed"};
  return kNames.at(static_cast<std::size_t>(stage));
}

Conductor::Conductor(std::string self, Desired desired, TimePoint now)
    : self_(std::move(self)), desired_(std::move(desired)), quiet_since_(now) {
  peers_[self_].linked = true;
  peers_[self_].since = now;
  if (desired_.controller != self_) {
    if (!desired_.controller.empty()) peers_[desired_.controller].since = now;
    stage_ = desired_.wish ? Stage::follows : Stage::idle;
  } else if (desired_.wish) {
    begin_anew_ = true;
    stage_ = Stage::waiting;
  }
}

std::vector<ConductorAction> Conductor::on(const ConductorEvent& event, TimePoint now) {
  Actions actions;
  std::visit([&](const auto& typed) { handle(typed, now, actions); }, event);
  proceed(now, actions);
  return actions;
}

std::vector<const plan::Plan*> Conductor::plans() const {
  std::vector<const plan::Plan*> all;
  for (const Run& run : runs_) {
    if (!run.ended) all.push_back(&run.plan);
  }
  return all;
}

void Conductor::handle(const DesiredHeard& event, TimePoint now, Actions& actions) {
  if (is_newer(event.desired, desired_)) adopt(event.desired, now, actions);
}

void Conductor::handle(const WishAsked& event, TimePoint now, Actions& actions) {
  take_control({next_epoch(desired_.epoch, self_, Claim::wish), self_, event.wish}, now, actions);
}

void Conductor::handle(const PeerLinked& event, TimePoint now, Actions& /*actions*/) {
  Peer& peer = peers_[event.device];
  if (peer.linked) return;
  peer.linked = true;
  peer.since = now;
  peer.card.reset();  // what it told before may be of another life
  peer.state.reset();
  devices_changed(now, false);  // its card is still to come
}

void Conductor::handle(const PeerLost& event, TimePoint now, Actions& actions) {
  Peer& peer = peers_[event.device];
  if (!peer.linked) return;
  peer.linked = false;
  peer.since = now;
  peer.state.reset();
  planned_for_.erase(event.device);
  asked_for_.erase(event.device);
  const bool was_running = is_running(event.device);
  if (was_running) lost_device_ = true;
  note_loss(peer, was_running, now);
  feed_runs(NodeGone{event.device, event.reason}, now, actions);
  devices_changed(now, false);
}

void Conductor::handle(const PeerRemoved& event, TimePoint now, Actions& actions) {
  handle(PeerLost{event.device, Error{Code::disconnected, event.device + " is no member any more", ""}}, now,
         actions);
  if (event.device != desired_.controller) peers_.erase(event.device);
}

void Conductor::handle(const CardHeard& event, TimePoint now, Actions& /*actions*/) {
  Peer& peer = peers_[event.device];
  const bool could = peer.card && peer.card->can_carry();
  const bool held = holds(peer);
  peer.card = event.card;
  if (held != holds(peer)) {
    planned_for_.erase(event.device);
    asked_for_.erase(event.device);
  }
  if (could != event.card.can_carry()) {
    devices_changed(now, event.card.can_carry());
  } else if (stage_ == Stage::failed) {
    devices_changed(now, held != holds(peer));
  }
}

void Conductor::handle(const StateReported& event, TimePoint now, Actions& actions) {
  const auto peer = peers_.find(event.state.device);
  if (peer == peers_.end() || !peer->second.linked) return;
  peer->second.state = event.state;
  if (event.state.busy > 0) quiet_since_ = now;
  note_engine_failure(peer->second, now);
  feed_runs(event, now, actions);
  stop_stray(event.state, actions);
}

void Conductor::handle(const Planned& event, TimePoint now, Actions& actions) {
  if (event.number != plan_number_) return;
  if (std::exchange(improving_, false)) {
    if (stage_ != Stage::serving) return;
    if (now < quiet_since_ + kStable) return;  // the newcomers stay newcomers: again at the next idle moment
    planned_for_ = asked_for_;
    if (event.replicas) change_plan(*event.replicas, now, actions);
  } else if (stage_ == Stage::planning) {
    planned_for_ = asked_for_;
    if (event.replicas) {
      start_runs(*event.replicas, now, actions);
    } else if (sparing_) {
      ask_for_plan(false, now, actions);
    } else if (has_more_than(asked_for_)) {
      gather(now, kGatherMost);  // they have come while it was planned
    } else {
      plan_failed_ = true;
      fail(event.replicas.error(), now + kLongestRetry);
    }
  }
}

void Conductor::handle(const Tick& event, TimePoint now, Actions& actions) { feed_runs(event, now, actions); }

void Conductor::take_control(Desired desired, TimePoint now, Actions& actions) {
  desired_ = std::move(desired);
  generation_ = 0;
  failures_ = 0;
  ++plan_number_;  // what is being planned is out of date
  begin_anew_ = false;
  improving_ = false;
  next_plans_.reset();
  error_.reset();
  actions.push_back(Remember{desired_});
  if (!runs_.empty()) {
    if (stage_ != Stage::stopping) stop_runs(now, actions);
  } else if (desired_.wish) {
    gather(now, kGatherMost);
  } else {
    stage_ = Stage::idle;
  }
  for (const auto& [device, peer] : peers_) {
    if (peer.linked && peer.state) stop_stray(*peer.state, actions);
  }
}

/// Whatever ran under this device's control is the new controller's business now.
void Conductor::adopt(Desired desired, TimePoint now, Actions& actions) {
  desired_ = std::move(desired);
  ++plan_number_;
  begin_anew_ = false;
  improving_ = false;
  next_plans_.reset();
  runs_.clear();
  error_.reset();
  stage_ = desired_.wish ? Stage::follows : Stage::idle;
  Peer& controller = peers_[desired_.controller];
  if (!controller.linked) controller.since = now;
  actions.push_back(Remember{desired_});
  if (!controls()) return;
  // Its own record of an earlier life, which somebody has kept: the generations used since are not known.
  take_control({next_epoch(desired_.epoch, self_, Claim::succession), self_, desired_.wish}, now, actions);
}

void Conductor::wait(TimePoint now, std::chrono::milliseconds least) {
  stage_ = Stage::waiting;
  waiting_since_ = now;
  patient_until_ = now;
  act_at_ = now + least;
}

/// Waits until the devices that have just come are complete.
void Conductor::gather(TimePoint now, std::chrono::seconds patience) {
  wait(now, std::chrono::milliseconds(0));
  patient_until_ = now + patience;
  for (const auto& [device, peer] : peers_) {
    if (peer.linked) act_at_ = std::max<TimePoint>(act_at_, peer.since + kGather);
  }
}

void Conductor::fail(Error error, TimePoint retry_at) {
  stage_ = Stage::failed;
  error_ = std::move(error);
  act_at_ = retry_at;
}

/// `may_help`: what could not be run may now run.
void Conductor::devices_changed(TimePoint now, bool may_help) {
  if (stage_ == Stage::failed && (may_help || plan_failed_)) gather(now, kGatherMost);
  if (stage_ == Stage::waiting)
    act_at_ = std::max(act_at_, std::min<TimePoint>(now + kGather, waiting_since_ + kGatherMost));
}

/// An engine that has failed because another one is gone is not to blame.
void Conductor::note_engine_failure(Peer& peer, TimePoint now) {
  const NodeState& state = *peer.state;
  if (state.phase != Phase::failed || !state.error || state.error->code == Code::disconnected) return;
  if (!is_running(state.device) || state.order != run_order_ || state.order == peer.failed_with) return;
  peer.failed_with = state.order;
  peer.spare_until = now + kSpare * (1 << std::min(peer.failures++, 4));
  peer.failed_at = now;
}

/// Whoever comes back is welcome, but each further loss in a short time costs everybody another start.
void Conductor::note_loss(Peer& peer, bool was_running, TimePoint now) {
  if (peer.failures > 0 && now < peer.failed_at + kLastBreath) {
    --peer.failures;
    peer.spare_until = {};
    was_running = true;
  }
  if (!was_running) return;
  peer.losses = peer.losses > 0 && now < peer.lost_at + kSteady ? peer.losses + 1 : 1;
  peer.lost_at = now;
  if (peer.losses < 2) return;
  const TimePoint until = now + kFlapping * (1 << std::min(peer.losses - 2, 4));
  peer.spare_until = std::max(peer.spare_until, until);
}

void Conductor::proceed(TimePoint now, Actions& actions) {
  consider_take_over(now, actions);
  if (!controls() || begin_anew_) {
    end_if_orphan(now, actions);
    return;
  }
  if (stage_ == Stage::failed && now >= act_at_) wait(now, std::chrono::milliseconds(0));
  if (stage_ == Stage::planning && now >= act_at_) wait(now, kFirstRetry);
  if (stage_ == Stage::waiting && now >= act_at_ && (everybody_measured() || now >= patient_until_))
    make_plan(now, actions);
  if (stage_ != Stage::serving) return;
  const bool complete = std::none_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.ended; });
  if (complete && now >= serving_since_ + kProven) failures_ = 0;
  consider_better_plan(now, actions);
}

std::optional<TimePoint> Conductor::take_over_at() const {
  if (!desired_.wish || (controls() && !begin_anew_)) return std::nullopt;
  TimePoint at = peers_.at(self_).since + kGather;
  if (!controls()) {
    const auto controller = peers_.find(desired_.controller);
    if (controller == peers_.end() || controller->second.linked) return std::nullopt;
    if (!holds(peers_.at(self_))) return std::nullopt;
    at = controller->second.since + kTakeOver;
    for (const auto& [device, peer] : peers_) {
      if (device < self_ && peer.linked && holds(peer)) at += kTakeOverStep;
    }
  }
  return is_answering() ? std::max<TimePoint>(at, quiet_since_ + kStable) : at;
}

void Conductor::consider_take_over(TimePoint now, Actions& actions) {
  const auto at = take_over_at();
  if (!at || now < *at) return;
  const bool succeeds = !controls();
  if (succeeds)
    actions.push_back(
        Told{fmt::format("{} controlled and is gone: this device takes over", desired_.controller)});
  take_control({next_epoch(desired_.epoch, self_, Claim::succession), self_, desired_.wish}, now, actions);
  if (succeeds) patient_until_ = now;  // people wait
}

/// When the next plan is due that may be better than what runs: some device could not be chosen for that.
std::optional<TimePoint> Conductor::better_plan_at() const {
  if (improving_) return act_at_;  // the planner's time is over
  std::optional<TimePoint> next;
  for (const auto& [device, peer] : peers_) {
    if (!peer.linked || !peer.card || !peer.card->can_carry() || planned_for_.contains(device)) continue;
    const TimePoint at = std::max<TimePoint>(peer.since + kStable, peer.spare_until);
    next = next ? std::min(*next, at) : at;
  }
  if (next) next = std::max({*next, improve_after_, TimePoint(quiet_since_ + kStable)});
  return next;
}

void Conductor::consider_better_plan(TimePoint now, Actions& actions) {
  const auto at = better_plan_at();
  if (!at || now < *at) return;
  improving_ = true;
  act_at_ = now + kPlanTime;
  ask_for_plan(true, now, actions);
}

/// While the controller is gone. Whoever takes over ends the rest.
std::optional<TimePoint> Conductor::orphan_at() const {
  const auto& state = peers_.at(self_).state;
  if (controls() || !state || state->role == Role::idle || state->order == orphaned_) return std::nullopt;
  const auto controller = peers_.find(desired_.controller);
  if (controller == peers_.end() || controller->second.linked) return std::nullopt;
  const TimePoint since = controller->second.since;
  const bool outdated = state->order.epoch < desired_.epoch;
  if (outdated) return since + (desired_.wish ? kOrphan : kTakeOver);
  if (state->role == Role::master) return std::nullopt;
  const bool is_used = std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    return peer.linked && peer.state && peer.state->role == Role::master && peer.state->order == state->order;
  });
  return is_used ? std::nullopt : std::optional<TimePoint>(since + kOrphan);
}

void Conductor::end_if_orphan(TimePoint now, Actions& actions) {
  const auto at = orphan_at();
  if (!at || now < *at) return;
  orphaned_ = peers_.at(self_).state->order;
  actions.push_back(Told{"nobody uses this worker any more: it ends"});
  Assignment idle;
  idle.order = Order{orphaned_.epoch, orphaned_.generation + 1};
  actions.push_back(Assign{self_, idle});
}

/// A device that runs something which this controller did not ask for, or does not want any more.
void Conductor::stop_stray(const NodeState& state, Actions& actions) {
  if (!controls() || begin_anew_) return;
  if (state.role == Role::idle || state.phase == Phase::stopping) return;
  if (is_running(state.device) || state.order > Order{desired_.epoch, generation_}) return;
  Assignment idle;
  idle.order = Order{desired_.epoch, ++generation_};
  actions.push_back(Assign{state.device, idle});
}

std::optional<TimePoint> Conductor::next_deadline() const {
  std::optional<TimePoint> next;
  const auto consider = [&](std::optional<TimePoint> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  for (const Run& run : runs_) {
    if (!run.ended) consider(run.controller->next_deadline());
  }
  consider(take_over_at());
  consider(orphan_at());
  if (!controls() || begin_anew_) return next;
  if (stage_ == Stage::failed || stage_ == Stage::planning) consider(act_at_);
  if (stage_ == Stage::waiting) consider(everybody_measured() ? act_at_ : std::max(act_at_, patient_until_));
  if (stage_ == Stage::serving) consider(better_plan_at());
  return next;
}

bool Conductor::has_more_than(const std::set<std::string>& devices) const {
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const auto& [device, peer] = entry;
    return peer.linked && peer.card && peer.card->can_carry() && !devices.contains(device);
  });
}

bool Conductor::holds(const Peer& peer) const {
  return desired_.wish && peer.card && peer.card->holds(desired_.wish->file, desired_.wish->size);
}

/// Or has no engine, which takes no measuring.
bool Conductor::everybody_measured() const {
  return std::all_of(peers_.begin(), peers_.end(), [](const auto& entry) {
    const auto& card = entry.second.card;
    return !entry.second.linked || (card && (card->profile || card->engine_build.empty()));
  });
}

/// What the controller who is gone has started still does its work.
bool Conductor::is_answering() const {
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    return peer.linked && peer.state && peer.state->role == Role::master &&
           peer.state->phase == Phase::ready && peer.state->order.epoch == desired_.epoch;
  });
}

}  // namespace caravan::cluster
