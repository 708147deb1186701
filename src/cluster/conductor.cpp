#include "cluster/conductor.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace caravan::cluster {

Conductor::Conductor(std::string self, Desired desired, TimePoint now)
    : self_(std::move(self)), quiet_since_(now) {
  commons_.desired = std::move(desired);
  commons_.peers[self_].linked = true;
  commons_.peers[self_].since = now;
  begin_anew_ = controls() && !this->desired().wishes.empty();
  if (!controls() && !this->desired().controller.empty())
    commons_.peers[this->desired().controller].since = now;
}

std::vector<ConductorAction> Conductor::on(const ConductorEvent& event, TimePoint now) {
  Actions actions;
  std::visit([&](const auto& typed) { handle(typed, now, actions); }, event);
  proceed(now, actions);
  return actions;
}

std::vector<DeploymentView> Conductor::deployments() const {
  std::vector<DeploymentView> views;
  views.reserve(desired().wishes.size() + pending_.size());
  const auto is_listed = [&](const std::string& model) {
    return std::any_of(views.begin(), views.end(), [&](const auto& view) { return view.model == model; });
  };
  for (const Wish& wish : desired().wishes) {
    const auto doing = std::find_if(fulfilments_.begin(), fulfilments_.end(), [&](const auto& one) {
      return !one->is_ending() && one->wish().model == wish.model;
    });
    DeploymentView view{wish.model, controls() ? Stage::waiting : Stage::follows, std::nullopt, {}};
    if (pending_.contains(wish.model)) {
      view.stage = Stage::asked;
    } else if (doing != fulfilments_.end()) {
      view = {wish.model, (*doing)->stage(), (*doing)->error(), (*doing)->plans(), (*doing)->data_path()};
    }
    views.push_back(std::move(view));
  }
  for (const auto& [model, change] : pending_) {
    if (!is_listed(model)) views.push_back({model, Stage::asked, std::nullopt, {}});
  }
  for (const auto& one : fulfilments_) {
    if (one->is_ending() && !is_listed(one->wish().model))
      views.push_back({one->wish().model, one->stage(), one->error(), one->plans()});
  }
  return views;
}

std::vector<WishChange> Conductor::pending() const {
  std::vector<WishChange> changes;
  changes.reserve(pending_.size());
  for (const auto& [model, change] : pending_) changes.push_back(change);
  return changes;
}

std::optional<ControllerSign> Conductor::controller_sign(TimePoint now) const {
  const auto controller = commons_.peers.find(desired().controller);
  if (controller == commons_.peers.end()) return std::nullopt;
  Clock::duration age{0};
  if (!controller->second.linked)
    age = std::min<Clock::duration>(now - controller->second.since, now - controller_heard_ + kHearsay);
  return ControllerSign{desired().epoch, std::chrono::ceil<std::chrono::milliseconds>(
                                             std::min<Clock::duration>(age, kOldestSign))};
}

void Conductor::handle(const DesiredHeard& event, TimePoint now, Actions& actions) {
  if (is_newer(event.desired, desired())) adopt(event.desired, now, actions);
}

void Conductor::handle(const ChangeAsked& event, TimePoint now, Actions& actions) {
  const WishChange& change = event.change;
  if (!leaves_others(change)) {
    pending_.clear();
    auto wishes = make_change(change, {});
    return take_control(std::move(wishes.value()), Claim::wish, now, actions);
  }
  pending_[model_of(change)] = change;
  if (!controls() && is_linked(desired().controller)) {
    if (!contains(desired().wishes, change)) return hand_over(actions);
    pending_.erase(model_of(change));
    return;
  }
  auto wishes = wishes_with_pending(actions);
  if (controls() && !begin_anew_) return change_wishes(std::move(wishes), now, actions);
  take_control(std::move(wishes), Claim::wish, now, actions);
}

void Conductor::handle(const ChangeHeard& event, TimePoint now, Actions& actions) {
  if (!controls()) return;  // whoever handed it over hears of the newer record
  auto wishes = make_change(event.change, desired().wishes);
  if (!wishes) return actions.push_back(Told{wishes.error().message});
  if (begin_anew_) return take_control(std::move(*wishes), Claim::wish, now, actions);
  change_wishes(std::move(*wishes), now, actions);
}

void Conductor::handle(const PeerLinked& event, TimePoint now, Actions& actions) {
  Peer& peer = commons_.peers[event.device];
  if (peer.linked) return;
  peer.linked = true;
  peer.since = now;
  peer.card.reset();  // what it told before may be of another life
  peer.state.reset();
  for (const auto& one : fulfilments_) one->devices_changed(now, false);  // its card is still to come
  if (event.device == desired().controller) hand_over(actions);
}

void Conductor::handle(const PeerLost& event, TimePoint now, Actions& actions) {
  Peer& peer = commons_.peers[event.device];
  if (!peer.linked) return;
  peer.linked = false;
  peer.since = now;
  peer.state.reset();
  note_loss(peer, is_running(event.device), now);
  for (const auto& one : fulfilments_) one->peer_lost(event.device, event.reason, now, actions);
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

void Conductor::handle(const PeerRemoved& event, TimePoint now, Actions& actions) {
  handle(PeerLost{event.device, Error{Code::disconnected, event.device + " is no member any more", ""}}, now,
         actions);
  if (event.device != desired().controller) commons_.peers.erase(event.device);
}

void Conductor::handle(const CardHeard& event, TimePoint now, Actions& /*actions*/) {
  Peer& peer = commons_.peers[event.device];
  const std::optional<NodeCard> before = std::exchange(peer.card, event.card);
  const bool could = before && before->can_carry();
  const bool speed = could && event.card.profile && !is_as_fast(*before->profile, *event.card.profile);
  const bool can = event.card.can_carry();
  for (const auto& one : fulfilments_) {
    const Wish& wish = one->wish();
    const bool held = before && before->holds(wish.file, wish.size);
    one->card_changed(event.device, held, speed, now);
    if (could != can) {
      one->devices_changed(now, can);
    } else if (one->stage() == Stage::failed) {
      one->devices_changed(now, held != peer.holds(wish));
    }
  }
}

void Conductor::handle(const BandChanged& event, TimePoint /*now*/, Actions& actions) {
  commons_.peers[event.device].band = event.band;
  for (const auto& one : fulfilments_) one->band_changed(event.device, event.why, actions);
}

void Conductor::handle(const StateReported& event, TimePoint now, Actions& actions) {
  const auto peer = commons_.peers.find(event.state.device);
  if (peer == commons_.peers.end() || !peer->second.linked) return;
  peer->second.state = event.state;
  if (event.state.busy > 0) quiet_since_ = now;
  const auto& sign = event.state.controller;
  if (sign && sign->epoch == desired().epoch && event.state.device != self_)
    controller_heard_ = std::max<TimePoint>(controller_heard_, now - sign->age);
  for (const auto& one : fulfilments_) one->reported(event.state, now, actions);
  stop_stray(event.state, actions);
}

void Conductor::handle(const Planned& event, TimePoint now, Actions& actions) {
  for (const auto& one : fulfilments_) one->planned(event, now, actions);
}

void Conductor::handle(const Tick& /*event*/, TimePoint now, Actions& actions) {
  for (const auto& one : fulfilments_) one->tick(now, actions);
}

void Conductor::take_control(std::vector<Wish> wishes, Claim claim, TimePoint now, Actions& actions) {
  const std::uint64_t epoch = next_epoch(desired().epoch, self_, claim);
  const bool patient = claim == Claim::wish || controls();  // else people wait for what has just ended
  commons_.desired = Desired{epoch, epoch, self_, std::move(wishes)};
  commons_.generation = 0;
  begin_anew_ = false;
  pending_.clear();
  actions.push_back(Remember{desired()});
  for (const auto& one : fulfilments_) one->end(now, actions);
  fulfil(patient, now);
  stop_strays(actions);
}

/// In a new epoch: what a person asks for outranks what devices do meanwhile that do not know of it.
void Conductor::change_wishes(std::vector<Wish> wishes, TimePoint now, Actions& actions) {
  pending_.clear();
  if (wishes == desired().wishes) return;
  commons_.desired.epoch = next_epoch(desired().epoch, self_, Claim::wish);
  commons_.desired.wishes = std::move(wishes);
  actions.push_back(Remember{desired()});
  const auto& wanted = desired().wishes;
  for (const auto& one : fulfilments_) {
    if (std::find(wanted.begin(), wanted.end(), one->wish()) == wanted.end()) one->end(now, actions);
  }
  fulfil(true, now);
}

/// Each wish is worked for, in their order.
void Conductor::fulfil(bool patient, TimePoint now) {
  auto earlier = std::exchange(fulfilments_, {});
  for (const Wish& wish : desired().wishes) {
    const auto same = std::find_if(earlier.begin(), earlier.end(), [&](const auto& one) {
      return one && !one->is_ending() && one->wish() == wish;
    });
    fulfilments_.push_back(same != earlier.end()
                               ? std::move(*same)
                               : std::make_unique<Fulfilment>(wish, commons_, now, patient));
  }
  for (auto& one : earlier) {
    if (one) fulfilments_.push_back(std::move(one));
  }
}

/// Whatever ran under this device's control is the new controller's business now.
void Conductor::adopt(Desired desired, TimePoint now, Actions& actions) {
  commons_.desired = std::move(desired);
  controller_heard_ = {};
  begin_anew_ = false;
  fulfilments_.clear();
  Peer& controller = commons_.peers[this->desired().controller];
  if (!controller.linked) controller.since = now;
  actions.push_back(Remember{this->desired()});
  auto wishes = wishes_with_pending(actions);
  // Its own record of an earlier life, which somebody has kept: the generations used since are not known.
  if (controls())
    return take_control(std::move(wishes), pending_.empty() ? Claim::succession : Claim::wish, now, actions);
  if (is_linked(this->desired().controller)) hand_over(actions);
}

void Conductor::hand_over(Actions& actions) {
  for (const auto& [model, change] : pending_) actions.push_back(HandOver{desired().controller, change});
}

/// Drops what has been made, or cannot be any more.
std::vector<Wish> Conductor::wishes_with_pending(Actions& actions) {
  std::vector<Wish> wishes = desired().wishes;
  for (auto next = pending_.begin(); next != pending_.end();) {
    auto changed = make_change(next->second, wishes);
    if (!changed) actions.push_back(Told{changed.error().message});
    const bool is_due = changed && *changed != wishes;
    if (is_due) wishes = std::move(*changed);
    next = is_due ? std::next(next) : pending_.erase(next);
  }
  return wishes;
}

void Conductor::proceed(TimePoint now, Actions& actions) {
  consider_take_over(now, actions);
  if (!controls() || begin_anew_) return end_if_orphan(now, actions);
  do {
    tell_freed(now);
    for (const auto& one : fulfilments_) one->proceed(now, actions);
  } while (!commons_.freed.empty());
  std::erase_if(fulfilments_, [](const auto& one) { return one->stage() == Stage::idle; });
}

/// What one deployment lets go may be what another one waits for.
void Conductor::tell_freed(TimePoint now) {
  const auto freed = std::exchange(commons_.freed, {});
  for (const auto& one : fulfilments_) {
    const bool others =
        std::any_of(freed.begin(), freed.end(), [&](const auto& entry) { return entry.second != one.get(); });
    if (others) one->devices_freed(now);
  }
}

std::optional<TimePoint> Conductor::take_over_at() const {
  if (controls() && !begin_anew_) return std::nullopt;
  if (desired().wishes.empty() && pending_.empty()) return std::nullopt;
  TimePoint at = commons_.peers.at(self_).since + Fulfilment::kGather;
  if (!controls()) {
    const auto controller = commons_.peers.find(desired().controller);
    if (controller == commons_.peers.end() || controller->second.linked) return std::nullopt;
    if (pending_.empty() && !holds_any(commons_.peers.at(self_))) return std::nullopt;
    at = std::max(controller->second.since, controller_heard_) + kTakeOver;
    for (const auto& [device, peer] : commons_.peers) {
      if (device < self_ && peer.linked && holds_any(peer)) at += kTakeOverStep;
    }
  }
  return is_answering() ? std::max<TimePoint>(at, quiet_since_ + Fulfilment::kStable) : at;
}

void Conductor::consider_take_over(TimePoint now, Actions& actions) {
  const auto at = take_over_at();
  if (!at || now < *at) return;
  if (!controls())
    actions.push_back(
        Told{fmt::format("{} controlled and is gone: this device takes over", desired().controller)});
  auto wishes = wishes_with_pending(actions);
  take_control(std::move(wishes), pending_.empty() ? Claim::succession : Claim::wish, now, actions);
}

/// While the controller is gone. Whoever takes over ends the rest.
std::optional<TimePoint> Conductor::orphan_at() const {
  const auto& state = commons_.peers.at(self_).state;
  if (controls() || !state || state->role == Role::idle || state->order == orphaned_) return std::nullopt;
  const auto controller = commons_.peers.find(desired().controller);
  if (controller == commons_.peers.end() || controller->second.linked) return std::nullopt;
  const TimePoint since = controller->second.since;
  if (!is_wanted(*state)) return since + (desired().wishes.empty() ? kTakeOver : kOrphan);
  if (state->role == Role::master) return std::nullopt;
  const bool is_used = std::any_of(commons_.peers.begin(), commons_.peers.end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    return peer.linked && peer.state && peer.state->role == Role::master && peer.state->order == state->order;
  });
  return is_used ? std::nullopt : std::optional<TimePoint>(since + kOrphan);
}

/// By who is not the controller: as far as the record and the state tell.
bool Conductor::is_wanted(const NodeState& state) const {
  if (desired().wishes.empty() || state.order.epoch < desired().since) return false;
  return state.model.empty() || desired().find(state.model) != nullptr;
}

void Conductor::end_if_orphan(TimePoint now, Actions& actions) {
  const auto at = orphan_at();
  if (!at || now < *at) return;
  orphaned_ = commons_.peers.at(self_).state->order;
  actions.push_back(Told{"nobody uses this worker any more: it ends"});
  Assignment idle;
  idle.order = Order{orphaned_.epoch, orphaned_.generation + 1};
  actions.push_back(Assign{self_, idle});
}

/// A device that runs something which this controller did not ask for, or does not want any more.
void Conductor::stop_stray(const NodeState& state, Actions& actions) {
  if (!controls() || begin_anew_) return;
  if (state.role == Role::idle || state.phase == Phase::stopping) return;
  if (is_running(state.device) || state.order > Order{desired().epoch, commons_.generation}) return;
  Assignment idle;
  idle.order = Order{desired().epoch, ++commons_.generation};
  actions.push_back(Assign{state.device, idle});
}

void Conductor::stop_strays(Actions& actions) {
  for (const auto& [device, peer] : commons_.peers) {
    if (peer.linked && peer.state) stop_stray(*peer.state, actions);
  }
}

std::optional<TimePoint> Conductor::next_deadline() const {
  std::optional<TimePoint> next;
  const auto consider = [&](std::optional<TimePoint> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  consider(take_over_at());
  consider(orphan_at());
  if (!controls() || begin_anew_) return next;
  for (const auto& one : fulfilments_) consider(one->next_deadline());
  return next;
}

bool Conductor::is_running(const std::string& device) const {
  return std::any_of(fulfilments_.begin(), fulfilments_.end(),
                     [&](const auto& one) { return one->is_running(device); });
}

bool Conductor::holds_any(const Peer& peer) const {
  return std::any_of(desired().wishes.begin(), desired().wishes.end(),
                     [&](const Wish& wish) { return peer.holds(wish); });
}

bool Conductor::is_linked(const std::string& device) const {
  const auto peer = commons_.peers.find(device);
  return peer != commons_.peers.end() && peer->second.linked;
}

/// What the controller who is gone has started still does its work.
bool Conductor::is_answering() const {
  return std::any_of(commons_.peers.begin(), commons_.peers.end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    return peer.linked && peer.state && peer.state->role == Role::master &&
           peer.state->phase == Phase::ready && peer.state->order.epoch >= desired().since;
  });
}

}  // namespace caravan::cluster
