#include "cluster/fulfilment.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace caravan::cluster {

std::string_view name_of(Stage stage) {
  constexpr std::array<std::string_view, 9> kNames{"idle",     "asked",   "follows",  "waiting", "planning",
                                                   "starting", "serving", "stopping", "failed"};
  return kNames.at(static_cast<std::size_t>(stage));
}

Fulfilment::Fulfilment(Wish wish, Commons& commons, TimePoint now, bool patient)
    : wish_(std::move(wish)), commons_(commons), data_path_(wish_.data_path), quiet_since_(now) {
  gather(now, patient ? kGatherMost : std::chrono::seconds(0));
}

Fulfilment::~Fulfilment() {
  let_others_plan();
  if (ending_ && stage_ != Stage::idle) --commons_.endings;
  std::erase_if(commons_.holders, [this](const auto& entry) { return entry.second == this; });
  std::erase_if(commons_.freed, [this](const auto& entry) { return entry.second == this; });
}

void Fulfilment::end(TimePoint now, Actions& actions) {
  if (std::exchange(ending_, true)) return;
  ++commons_.endings;
  let_others_plan();
  plan_number_ = 0;  // what is being planned is out of date
  improving_ = false;
  next_plans_.reset();
  error_.reset();
  if (runs_.empty()) {
    runs_over(now, actions);
  } else if (stage_ != Stage::stopping) {
    stop_runs(now, actions);
  }
}

void Fulfilment::peer_lost(const std::string& device, const Error& reason, TimePoint now, Actions& actions) {
  planned_for_.erase(device);
  asked_for_.erase(device);
  if (is_running(device)) lost_device_ = true;
  feed_runs(NodeGone{device, reason}, now, actions);
  devices_changed(now, false);
}

void Fulfilment::reported(const NodeState& state, TimePoint now, Actions& actions) {
  const auto& models = state.answering;
  const bool is_about_this =
      models.empty() || std::find(models.begin(), models.end(), wish_.model) != models.end();
  if (state.busy > 0 && is_about_this) quiet_since_ = now;
  if (is_running(state.device) && state.order > Order{run_order_.epoch, run_order_.generation + 1}) {
    // Of a controller that did not know of this one; the conductor ends it there.
    lost_device_ = true;
    const Error reason{Code::disconnected, state.device + " works for another controller", ""};
    return feed_runs(NodeGone{state.device, reason}, now, actions);
  }
  note_engine_failure(commons_.peers.at(state.device), now);
  feed_runs(StateReported{state}, now, actions);
}

void Fulfilment::card_changed(const std::string& device, bool held, bool speed, TimePoint now) {
  const auto running = plans();
  const bool others =
      std::any_of(running.begin(), running.end(), [](const auto* plan) { return plan->shares.size() > 1; });
  if (speed && others) improve_after_ = std::max<TimePoint>(improve_after_, now + kMeasuring);
  if (!speed && held == commons_.peers.at(device).holds(wish_)) return;
  planned_for_.erase(device);
  asked_for_.erase(device);
}

void Fulfilment::band_changed(const std::string& device, const std::string& why, Actions& actions) {
  const Peer& peer = commons_.peers.at(device);
  if (!is_running(device) && !is_available(device, peer)) return;
  banded_ = true;
  if (peer.band == Band::normal) return;
  actions.push_back(
      Told{fmt::format("{} is {}: {}; '{}' is planned around it as far as the others can", device,
                       peer.band == Band::hot ? "hot" : "to be spared", why, wish_.model)});
}

void Fulfilment::planned(const Planned& plan, TimePoint now, Actions& actions) {
  if (plan.number == 0 || plan.number != plan_number_) return;
  plan_number_ = 0;
  let_others_plan();
  if (std::exchange(improving_, false)) {
    if (stage_ != Stage::serving) return;
    predict_runs(plan.running, actions);
    if (now < quiet_since_ + kStable) return;  // the newcomers stay newcomers: again at the next idle moment
    planned_for_ = asked_for_;
    if (std::exchange(banded_, false)) band_after_ = now + kBandPause;
    if (plan.replicas) change_plan(plan, now, actions);
  } else if (stage_ == Stage::planning) {
    planned_for_ = asked_for_;
    banded_ = false;
    if (plan.replicas) {
      start_runs(*plan.replicas, now, actions);
    } else if (sparing_) {
      ask_for_plan(false, now, actions);
    } else if (has_more_than(asked_for_)) {
      gather(now, kGatherMost);  // they have come while it was planned
    } else {
      fail_to_plan(plan.replicas.error(), now);
    }
  }
}

void Fulfilment::wait(TimePoint now, std::chrono::milliseconds least) {
  let_others_plan();
  stage_ = Stage::waiting;
  waiting_since_ = now;
  patient_until_ = now;
  act_at_ = now + least;
}

/// Waits until the devices that have just come are complete.
void Fulfilment::gather(TimePoint now, std::chrono::seconds patience) {
  wait(now, std::chrono::milliseconds(0));
  patient_until_ = now + patience;
  for (const auto& [device, peer] : commons_.peers) {
    if (peer.linked) act_at_ = std::max<TimePoint>(act_at_, peer.since + kGather);
  }
}

void Fulfilment::fail(Error error, TimePoint retry_at) {
  stage_ = Stage::failed;
  error_ = std::move(error);
  act_at_ = retry_at;
}

void Fulfilment::fail_to_plan(Error error, TimePoint now) {
  plan_failed_ = true;
  fail(with_holders(std::move(error)), now + kLongestRetry);
  hold({}, now);
}

void Fulfilment::devices_changed(TimePoint now, bool may_help) {
  if (stage_ == Stage::failed && (may_help || plan_failed_)) gather(now, kGatherMost);
  if (stage_ == Stage::waiting)
    act_at_ = std::max(act_at_, std::min<TimePoint>(now + kGather, waiting_since_ + kGatherMost));
}

void Fulfilment::devices_freed(TimePoint now) {
  if (stage_ == Stage::failed && plan_failed_) gather(now, kGatherMost);
}

/// An engine that has failed because another one is gone is not to blame.
void Fulfilment::note_engine_failure(Peer& peer, TimePoint now) {
  const NodeState& state = *peer.state;
  if (state.phase != Phase::failed || !state.error || state.error->code == Code::disconnected) return;
  if (!is_running(state.device) || state.order != run_order_ || state.order == peer.failed_with) return;
  peer.failed_with = state.order;
  peer.spare_until = now + kSpare * (1 << std::min(peer.failures++, 4));
  peer.failed_at = now;
}

void Fulfilment::proceed(TimePoint now, Actions& actions) {
  if (ending_) return;
  if (stage_ == Stage::failed && now >= act_at_) wait(now, std::chrono::milliseconds(0));
  if (stage_ == Stage::planning && now >= act_at_) wait(now, kFirstRetry);
  const auto turn = turn_at();
  const bool may_plan = turn && now >= *turn;
  const bool is_complete = commons_.everybody_measured() || now >= patient_until_;
  if (stage_ == Stage::waiting && now >= act_at_ && is_complete && may_plan) make_plan(now, actions);
  if (stage_ != Stage::serving) return;
  const bool all_run = std::none_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.ended; });
  if (all_run && now >= serving_since_ + kProven) failures_ = 0;
  if (may_plan || improving_) consider_better_plan(now, actions);
}

std::optional<TimePoint> Fulfilment::turn_at() const {
  if (commons_.endings > 0) return std::nullopt;  // its devices are free in a moment
  const bool is_mine = commons_.planner == nullptr || commons_.planner == this;
  return is_mine ? TimePoint::min() : commons_.planner_until;
}

void Fulfilment::let_others_plan() {
  if (commons_.planner == this) commons_.planner = nullptr;
}

/// When the next plan is due that may be better than what runs: some device could not be chosen for that.
std::optional<TimePoint> Fulfilment::better_plan_at() const {
  if (improving_) return act_at_;  // the planner's time is over
  std::optional<TimePoint> next;
  for (const auto& [device, peer] : commons_.peers) {
    if (!is_available(device, peer) || planned_for_.contains(device)) continue;
    const TimePoint at =
        std::max<TimePoint>(std::max(peer.since, peer.free_since) + kStable, peer.spare_until);
    next = next ? std::min(*next, at) : at;
  }
  const TimePoint quiet = quiet_since_ + kStable;
  if (next) next = std::max({*next, improve_after_, quiet});
  if (!banded_) return next;
  const TimePoint banded = std::max(band_after_, quiet);
  return next ? std::min(*next, banded) : banded;
}

void Fulfilment::consider_better_plan(TimePoint now, Actions& actions) {
  const auto at = better_plan_at();
  if (!at || now < *at) return;
  improving_ = true;
  act_at_ = now + kPlanTime;
  ask_for_plan(true, now, actions);
}

std::optional<TimePoint> Fulfilment::next_deadline() const {
  std::optional<TimePoint> next;
  const auto consider = [&](std::optional<TimePoint> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  for (const Run& run : runs_) {
    if (!run.ended) consider(run.controller->next_deadline());
  }
  if (ending_) return next;
  if (stage_ == Stage::failed || stage_ == Stage::planning) consider(act_at_);
  const auto turn = turn_at();
  const auto in_turn = [&](std::optional<TimePoint> at) {
    return at && turn ? std::optional(std::max(*at, *turn)) : std::nullopt;
  };
  if (stage_ == Stage::waiting)
    consider(in_turn(commons_.everybody_measured() ? act_at_ : std::max(act_at_, patient_until_)));
  if (stage_ == Stage::serving) consider(improving_ ? std::optional(act_at_) : in_turn(better_plan_at()));
  return next;
}

void Fulfilment::hold(const std::set<std::string>& devices, TimePoint now) {
  for (const auto& [device, holder] : commons_.holders) {
    if (holder != this || devices.contains(device)) continue;
    commons_.freed[device] = this;
    const auto peer = commons_.peers.find(device);
    if (peer != commons_.peers.end()) peer->second.free_since = now;
  }
  std::erase_if(commons_.holders, [this](const auto& entry) { return entry.second == this; });
  for (const std::string& device : devices) commons_.holders[device] = this;
}

/// For this deployment's next plan.
bool Fulfilment::is_available(const std::string& device, const Peer& peer) const {
  return commons_.is_free_for(this, device) && peer.can_carry() && !commons_.is_reserved(device, wish_);
}

bool Fulfilment::has_more_than(const std::set<std::string>& devices) const {
  return std::any_of(commons_.peers.begin(), commons_.peers.end(), [&](const auto& entry) {
    return is_available(entry.first, entry.second) && !devices.contains(entry.first);
  });
}

std::vector<const plan::Plan*> Fulfilment::plans() const {
  std::vector<const plan::Plan*> all;
  for (const Run& run : runs_) {
    if (!run.ended) all.push_back(&run.plan);
  }
  return all;
}

DataPath Fulfilment::data_path() const {
  const auto running = plans();
  const bool is_fabric = std::any_of(running.begin(), running.end(), [](const plan::Plan* plan) {
    return plan->data_path == DataPath::fabric;
  });
  return is_fabric ? DataPath::fabric : DataPath::rpc;
}

bool Fulfilment::is_running(const std::string& device) const {
  return std::any_of(runs_.begin(), runs_.end(), [&](const Run& run) {
    return !run.ended && std::any_of(run.plan.shares.begin(), run.plan.shares.end(),
                                     [&](const plan::Share& share) { return share.device == device; });
  });
}

}  // namespace caravan::cluster
