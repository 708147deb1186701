// The conductor's part that plans replicas, drives them through their controllers, and judges their ends.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cluster/conductor.h"

namespace caravan::cluster {
namespace {

/// What a person wants of a plan, the most important first.
struct Merit {
  std::size_t wished = 0;  ///< devices that take part as the person has asked
  int context = 0;         ///< where that is what matters
  double decode = 0;       ///< tokens/s of all replicas
};

Merit merit_of(const std::vector<const plan::Plan*>& plans, const Wish& wish) {
  Merit merit;
  for (const plan::Plan* plan : plans) {
    merit.decode += plan->predicted.decode;
    if (wish.objective == plan::Objective::fit) merit.context = std::max(merit.context, plan->context);
    for (const plan::Share& share : plan->shares)
      merit.wished += static_cast<std::size_t>(std::count(wish.use.begin(), wish.use.end(), share.device)) +
                      (find_plain(wish.plain, share.device) != nullptr ? 1 : 0);
  }
  return merit;
}

}  // namespace

void Conductor::ask_for_plan(bool spare, TimePoint now, Actions& actions) {
  MakePlan plan{++plan_number_, *desired_.wish, {}, {}};
  sparing_ = false;
  for (const auto& [device, peer] : peers_) {
    if (!peer.linked || !peer.card || !peer.card->can_carry()) continue;
    if (spare && now < peer.spare_until) {
      sparing_ = true;
      continue;
    }
    plan.devices.push_back(device);
    if (holds(peer)) plan.holders.push_back(device);
  }
  if (sparing_ && plan.holders.empty()) return ask_for_plan(false, now, actions);
  asked_for_ = std::set<std::string>(plan.devices.begin(), plan.devices.end());
  actions.push_back(std::move(plan));
}

void Conductor::make_plan(TimePoint now, Actions& actions) {
  const auto can_be_master = [this](const auto& entry) {
    const Peer& peer = entry.second;
    return peer.linked && holds(peer) && peer.card->can_carry();
  };
  if (!std::any_of(peers_.begin(), peers_.end(), can_be_master)) {
    plan_failed_ = true;
    fail(Error{Code::unavailable,
               fmt::format("no device that is here has {} and can run it", desired_.wish->file),
               "wake the device that has it, or run `caravan serve` on another one: it fetches the model"},
         now + kLongestRetry);
    return;
  }
  stage_ = Stage::planning;
  error_.reset();
  act_at_ = now + kPlanTime;
  ask_for_plan(true, now, actions);
}

bool Conductor::all_linked(const std::vector<plan::Plan>& replicas) const {
  return std::all_of(replicas.begin(), replicas.end(), [this](const plan::Plan& plan) {
    return std::all_of(plan.shares.begin(), plan.shares.end(), [this](const plan::Share& share) {
      if (find_plain(desired_.wish->plain, share.device) != nullptr) return true;
      const auto peer = peers_.find(share.device);
      return peer != peers_.end() && peer->second.linked;
    });
  });
}

void Conductor::change_plan(std::vector<plan::Plan> replicas, TimePoint now, Actions& actions) {
  std::vector<const plan::Plan*> others;
  others.reserve(replicas.size());
  for (const plan::Plan& plan : replicas) others.push_back(&plan);
  const Merit current = merit_of(plans(), *desired_.wish);
  const Merit next = merit_of(others, *desired_.wish);
  const bool is_better = next.wished != current.wished     ? next.wished > current.wished
                         : next.context != current.context ? next.context > current.context
                                                           : next.decode > current.decode * kWorthwhile;
  if (!is_better || !all_linked(replicas)) return;
  actions.push_back(Told{fmt::format("another plan gives {:.1f} instead of {:.1f} tokens/s: changing to it",
                                     next.decode, current.decode)});
  next_plans_ = std::move(replicas);
  stop_runs(now, actions);
}

void Conductor::start_runs(std::vector<plan::Plan> replicas, TimePoint now, Actions& actions) {
  if (replicas.empty() || !all_linked(replicas)) return wait(now, kFirstRetry);
  run_order_ = Order{desired_.epoch, generation_ + 1};
  generation_ += 2;  // the second one is for stopping it
  stage_ = Stage::starting;
  lost_device_ = false;
  error_.reset();
  runs_.clear();
  for (plan::Plan& plan : replicas) {
    Deployment deployment{desired_.wish->file, desired_.wish->model, plan, 1, desired_.wish->plain};
    runs_.push_back({std::move(plan), std::make_unique<Controller>(std::move(deployment), run_order_, now)});
  }
  feed_runs(Tick{}, now, actions);
}

void Conductor::stop_runs(TimePoint now, Actions& actions) {
  stage_ = Stage::stopping;
  feed_runs(StopAsked{}, now, actions);
}

void Conductor::feed_runs(const Event& event, TimePoint now, Actions& actions) {
  if (runs_.empty()) return;
  for (Run& run : runs_) {
    if (!run.ended) feed(run, event, now, actions);
  }
  if (std::all_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.ended; }))
    runs_over(now, actions);
}

void Conductor::feed(Run& run, const Event& event, TimePoint now, Actions& actions) {
  for (Action& action : run.controller->on(event, now)) {
    if (auto* command = std::get_if<Assign>(&action)) actions.push_back(std::move(*command));
    if (auto* ended = std::get_if<Ended>(&action)) {
      run.ended = true;
      if (ended->error) error_ = std::move(ended->error);
    }
    if (!std::holds_alternative<Serving>(action) || stage_ != Stage::starting) continue;
    stage_ = Stage::serving;
    serving_since_ = now;
    quiet_since_ = now;
  }
  if (!run.ended || next_plans_) return;
  planned_for_.clear();  // a plan for all devices may be better than what is left of this one
  const bool others = std::any_of(runs_.begin(), runs_.end(), [](const Run& other) { return !other.ended; });
  if (!others) return;  // see runs_over
  const auto doubled = kStable * (std::int64_t{1} << std::min(failures_++, 8));
  improve_after_ = now + std::min<std::chrono::milliseconds>(doubled, kLongestRetry);
}

void Conductor::runs_over(TimePoint now, Actions& actions) {
  const bool asked = stage_ == Stage::stopping;
  runs_.clear();
  if (!desired_.wish) {
    stage_ = Stage::idle;
    error_.reset();
  } else if (next_plans_) {
    start_runs(*std::exchange(next_plans_, std::nullopt), now, actions);
  } else if (asked || lost_device_ || !error_) {
    wait(now, kFirstRetry);
  } else {
    plan_failed_ = false;
    const auto doubled = kFirstRetry * (std::int64_t{1} << std::min(failures_++, 12));
    const auto delay = std::min<std::chrono::milliseconds>(doubled, kLongestRetry);
    fail(*error_, now + delay);
  }
}

bool Conductor::is_running(const std::string& device) const {
  return std::any_of(runs_.begin(), runs_.end(), [&](const Run& run) {
    return !run.ended && std::any_of(run.plan.shares.begin(), run.plan.shares.end(),
                                     [&](const plan::Share& share) { return share.device == device; });
  });
}

}  // namespace caravan::cluster
