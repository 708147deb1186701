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
  if (std::exchange(begin_anew_, false)) take_control(desired_.wish, now, actions);
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
  take_control(event.wish, now, actions);
}

void Conductor::handle(const PeerLinked& event, TimePoint now, Actions& /*actions*/) {
  Peer& peer = peers_[event.device];
  if (peer.linked) return;
  peer = Peer{true, now, std::nullopt, std::nullopt};  // what it told before may be of another life
  devices_changed(now);
}

void Conductor::handle(const PeerLost& event, TimePoint now, Actions& actions) {
  Peer& peer = peers_[event.device];
  if (!peer.linked) return;
  peer.linked = false;
  peer.since = now;
  peer.state.reset();
  planned_for_.erase(event.device);
  if (is_running(event.device)) lost_device_ = true;
  feed_runs(NodeGone{event.device, event.reason}, now, actions);
  devices_changed(now);
}

void Conductor::handle(const PeerRemoved& event, TimePoint now, Actions& actions) {
  handle(PeerLost{event.device, Error{Code::disconnected, event.device + " is no member any more", ""}}, now,
         actions);
  if (event.device != desired_.controller) peers_.erase(event.device);
}

void Conductor::handle(const CardHeard& event, TimePoint now, Actions& /*actions*/) {
  Peer& peer = peers_[event.device];
  const bool could = peer.card && peer.card->can_carry();
  peer.card = event.card;
  if (could != event.card.can_carry() || stage_ == Stage::failed) devices_changed(now);
}

void Conductor::handle(const StateReported& event, TimePoint now, Actions& actions) {
  const auto peer = peers_.find(event.state.device);
  if (peer == peers_.end() || !peer->second.linked) return;
  peer->second.state = event.state;
  if (event.state.busy > 0) quiet_since_ = now;
  feed_runs(event, now, actions);
  stop_stray(event.state, actions);
}

void Conductor::handle(const Planned& event, TimePoint now, Actions& actions) {
  if (event.number != plan_number_) return;
  if (std::exchange(improving_, false)) {
    if (stage_ != Stage::serving || !event.replicas || !is_quiet(now)) return;
    double current = 0;
    double next = 0;
    for (const plan::Plan* plan : plans()) current += plan->predicted.decode;
    for (const plan::Plan& plan : *event.replicas) next += plan.predicted.decode;
    if (next < current * kWorthwhile) return;
    actions.push_back(
        Told{fmt::format("another plan is {:.1f} times as fast: changing to it", next / current)});
    next_plans_ = *event.replicas;
    stop_runs(now, actions);
  } else if (stage_ == Stage::planning) {
    if (event.replicas) start_runs(*event.replicas, now, actions);
    if (!event.replicas) fail(event.replicas.error(), now + kLongestRetry);
  }
}

void Conductor::handle(const Tick& event, TimePoint now, Actions& actions) { feed_runs(event, now, actions); }

void Conductor::take_control(std::optional<Wish> wish, TimePoint now, Actions& actions) {
  desired_ = Desired{desired_.epoch + 1, self_, std::move(wish)};
  generation_ = 0;
  failures_ = 0;
  ++plan_number_;  // what is being planned is out of date
  improving_ = false;
  next_plans_.reset();
  actions.push_back(Remember{desired_});
  if (!runs_.empty()) {
    if (stage_ != Stage::stopping) stop_runs(now, actions);
  } else if (desired_.wish) {
    wait(now, kGather);
  } else {
    stage_ = Stage::idle;
  }
  error_.reset();
  for (const auto& [device, peer] : peers_) {
    if (peer.linked && peer.state) stop_stray(*peer.state, actions);
  }
}

/// Whatever ran under this device's control is the new controller's business now.
void Conductor::adopt(Desired desired, TimePoint now, Actions& actions) {
  desired_ = std::move(desired);
  ++plan_number_;
  improving_ = false;
  next_plans_.reset();
  runs_.clear();
  error_.reset();
  stage_ = desired_.wish ? Stage::follows : Stage::idle;
  Peer& controller = peers_[desired_.controller];
  if (!controller.linked) controller.since = now;
  actions.push_back(Remember{desired_});
  // Its own record of an earlier life, which somebody has kept: the generations used since are not known.
  if (controls()) take_control(desired_.wish, now, actions);
}

void Conductor::wait(TimePoint now, std::chrono::milliseconds least) {
  stage_ = Stage::waiting;
  waiting_since_ = now;
  act_at_ = now + least;
}

void Conductor::fail(Error error, TimePoint retry_at) {
  stage_ = Stage::failed;
  error_ = std::move(error);
  act_at_ = retry_at;
}

void Conductor::devices_changed(TimePoint now) {
  if (stage_ == Stage::failed && failures_ == 0) wait(now, kGather);  // it was the plan that failed
  if (stage_ == Stage::waiting)
    act_at_ = std::max(act_at_, std::min<TimePoint>(now + kGather, waiting_since_ + kGatherMost));
}

void Conductor::proceed(TimePoint now, Actions& actions) {
  if (!controls()) {
    consider_take_over(now, actions);
    end_if_orphan(now, actions);
    return;
  }
  if (stage_ == Stage::failed && now >= act_at_) wait(now, std::chrono::milliseconds(0));
  if (stage_ == Stage::planning && now >= act_at_) wait(now, kFirstRetry);
  const bool patient = now < waiting_since_ + kGatherMost;
  if (stage_ == Stage::waiting && now >= act_at_ && (everybody_measured() || !patient))
    make_plan(now, actions);
  if (stage_ != Stage::serving) return;
  if (now >= serving_since_ + kProven) failures_ = 0;
  consider_better_plan(now, actions);
}

std::optional<TimePoint> Conductor::take_over_at() const {
  if (controls() || !desired_.wish) return std::nullopt;
  if (!holds(peers_.at(self_))) return std::nullopt;
  const auto controller = peers_.find(desired_.controller);
  if (controller == peers_.end() || controller->second.linked) return std::nullopt;
  TimePoint at = controller->second.since + kTakeOver;
  for (const auto& [device, peer] : peers_) {
    if (device < self_ && peer.linked && holds(peer)) at += kTakeOverStep;
  }
  return at;
}

void Conductor::consider_take_over(TimePoint now, Actions& actions) {
  const auto at = take_over_at();
  if (!at || now < *at) return;
  actions.push_back(
      Told{fmt::format("{} controlled and is gone: this device takes over", desired_.controller)});
  take_control(desired_.wish, now, actions);
}

bool Conductor::has_newcomer(TimePoint at) const {
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const auto& [device, peer] = entry;
    return peer.linked && peer.card && peer.card->can_carry() && !planned_for_.contains(device) &&
           at >= peer.since + kStable;
  });
}

void Conductor::consider_better_plan(TimePoint now, Actions& actions) {
  if (improving_ || !is_quiet(now) || !has_newcomer(now)) return;
  improving_ = true;
  ask_for_plan(actions);
}

std::optional<TimePoint> Conductor::orphan_at() const {
  const auto& state = peers_.at(self_).state;
  if (controls() || !state || state->role != Role::worker || state->order == orphaned_) return std::nullopt;
  const auto controller = peers_.find(desired_.controller);
  if (controller == peers_.end() || controller->second.linked) return std::nullopt;
  const bool is_used = std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    return peer.linked && peer.state && peer.state->role == Role::master && peer.state->order == state->order;
  });
  return is_used ? std::nullopt : std::optional(controller->second.since + kOrphan);
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
  if (!controls() || state.role == Role::idle || state.phase == Phase::stopping) return;
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
  if (!controls()) return next;
  if (stage_ == Stage::failed || stage_ == Stage::planning) consider(act_at_);
  if (stage_ == Stage::waiting)
    consider(everybody_measured() ? act_at_ : std::max(act_at_, waiting_since_ + kGatherMost));
  if (stage_ != Stage::serving || improving_) return next;
  for (const auto& [device, peer] : peers_) {
    const bool waits = peer.linked && peer.card && peer.card->can_carry() && !planned_for_.contains(device);
    if (waits) consider(std::max(peer.since, quiet_since_) + kStable);
  }
  return next;
}

bool Conductor::holds(const Peer& peer) const {
  return desired_.wish && peer.card && peer.card->holds(desired_.wish->file, desired_.wish->size);
}

bool Conductor::everybody_measured() const {
  return std::all_of(peers_.begin(), peers_.end(), [](const auto& entry) {
    return !entry.second.linked || (entry.second.card && entry.second.card->can_carry());
  });
}

bool Conductor::is_quiet(TimePoint now) const { return now >= quiet_since_ + kStable; }

}  // namespace caravan::cluster
