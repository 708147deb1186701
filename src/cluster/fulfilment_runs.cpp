// The fulfilment's part that plans replicas, drives them through their controllers, and judges their ends.
#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cluster/fulfilment.h"

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

bool is_same_layout(const plan::Plan& a, const plan::Plan& b) {
  return std::equal(a.shares.begin(), a.shares.end(), b.shares.begin(), b.shares.end(),
                    [](const plan::Share& x, const plan::Share& y) {
                      return x.device == y.device && x.layer_count == y.layer_count;
                    });
}

void add_devices(const plan::Plan& plan, std::set<std::string>& devices) {
  for (const plan::Share& share : plan.shares) devices.insert(share.device);
}

}  // namespace

void Fulfilment::ask_for_plan(bool spare, TimePoint now, Actions& actions) {
  MakePlan plan{++commons_.plans, wish_, {}, {}, {}, {}, {}};
  plan.wish.data_path = data_path_;
  sparing_ = false;
  for (const auto& [device, peer] : commons_.peers) {
    if (!is_available(device, peer)) continue;
    if (spare && now < peer.spare_until) {
      sparing_ = true;
      continue;
    }
    plan.devices.push_back(device);
    if (peer.holds(wish_)) plan.holders.push_back(device);
    if (peer.card->fabric) plan.fabric.push_back(device);
    if (peer.band != Band::normal) plan.slow[device] = speed_factor(peer.band);
  }
  for (const plan::Plan* running : plans()) plan.running.push_back(*running);
  std::erase_if(plan.wish.plain, [this](const PlainWorker& worker) {
    return !commons_.is_free_for(this, name_of(worker));  // a stock RPC server serves one client at a time
  });
  if (sparing_ && plan.holders.empty()) return ask_for_plan(false, now, actions);
  plan_number_ = plan.number;
  commons_.planner = this;
  commons_.planner_until = now + kPlanTurn;
  asked_for_ = std::set<std::string>(plan.devices.begin(), plan.devices.end());
  actions.push_back(std::move(plan));
}

void Fulfilment::make_plan(TimePoint now, Actions& actions) {
  const auto& peers = commons_.peers;
  const auto can_be_master = [this](const auto& entry) {
    return entry.second.holds(wish_) && is_available(entry.first, entry.second);
  };
  if (!std::any_of(peers.begin(), peers.end(), can_be_master)) {
    planned_for_.clear();
    return fail_to_plan(
        Error{Code::unavailable, fmt::format("no device that is here has {} and can run it", wish_.file),
              "wake the device that has it, or run `caravan serve` on another one: it fetches the model"},
        now);
  }
  stage_ = Stage::planning;
  error_.reset();
  act_at_ = now + kPlanTime;
  ask_for_plan(true, now, actions);
}

std::string Fulfilment::held_by_others() const {
  std::map<std::string, std::vector<std::string>> devices;
  for (const auto& [device, peer] : commons_.peers) {
    if (peer.linked && !commons_.is_free_for(this, device))
      devices[commons_.holders.at(device)->wish().model].push_back(device);
  }
  std::vector<std::string> parts;
  parts.reserve(devices.size());
  for (const auto& [model, names] : devices)
    parts.push_back(
        fmt::format("{} {} '{}'", fmt::join(names, " and "), names.size() == 1 ? "carries" : "carry", model));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// What other models hold is part of the cause, and giving it up a cure.
Error Fulfilment::with_holders(Error error) const {
  const std::string held = held_by_others();
  if (held.empty()) return error;
  error.message += "; " + held;
  error.hint = fmt::format(
      "give the others fewer devices (`caravan serve MODEL --beside` again, with --use or --avoid), or serve "
      "'{}' without --beside, which ends them",
      wish_.model);
  return error;
}

/// They may have gone, or become another deployment's, while it was planned.
bool Fulfilment::all_available(const std::vector<plan::Plan>& replicas) const {
  return std::all_of(replicas.begin(), replicas.end(), [this](const plan::Plan& plan) {
    return std::all_of(plan.shares.begin(), plan.shares.end(), [this](const plan::Share& share) {
      if (find_plain(wish_.plain, share.device) != nullptr) return commons_.is_free_for(this, share.device);
      const auto peer = commons_.peers.find(share.device);
      return peer != commons_.peers.end() && is_available(share.device, peer->second);
    });
  });
}

/// Another plan has to be better than what runs is now, not than what it was once thought to be.
void Fulfilment::predict_runs(const std::vector<plan::Plan>& predicted, Actions& actions) {
  const double before = merit_of(plans(), wish_).decode;
  for (Run& run : runs_) {
    const auto same = std::find_if(predicted.begin(), predicted.end(),
                                   [&](const plan::Plan& plan) { return is_same_layout(plan, run.plan); });
    if (run.ended || same == predicted.end()) continue;
    run.plan.predicted = same->predicted;
    for (std::size_t rank = 0; rank < run.plan.shares.size(); ++rank) {
      run.plan.shares[rank].compute = same->shares[rank].compute;
      run.plan.shares[rank].hop = same->shares[rank].hop;
    }
  }
  const double after = merit_of(plans(), wish_).decode;
  if (std::abs(after - before) <= kWorthTelling * before) return;
  actions.push_back(
      Told{fmt::format("measured again: '{}' is expected to give {:.1f} instead of {:.1f} tokens/s",
                       wish_.model, after, before)});
}

void Fulfilment::change_plan(const Planned& plan, TimePoint now, Actions& actions) {
  std::vector<plan::Plan> replicas = *plan.replicas;
  std::vector<const plan::Plan*> others;
  others.reserve(replicas.size());
  for (const plan::Plan& replica : replicas) others.push_back(&replica);
  Merit current = merit_of(plans(), wish_);
  Merit next = merit_of(others, wish_);
  const auto told = std::pair(next.decode, current.decode);
  if (plan.weighed)
    std::tie(next.decode, current.decode) = std::pair(plan.weighed->replicas, plan.weighed->running);
  const bool is_better = next.wished != current.wished     ? next.wished > current.wished
                         : next.context != current.context ? next.context > current.context
                                                           : next.decode > current.decode * kWorthwhile;
  if (!is_better || !all_available(replicas)) return;
  actions.push_back(Told{fmt::format(
      "another plan for '{}' {}gives {:.1f} instead of {:.1f} tokens/s: changing to it", wish_.model,
      plan.weighed ? "spares what is hot or nearly empty, and " : "", told.first, told.second)});
  std::set<std::string> devices;
  for (const plan::Plan* running : plans()) add_devices(*running, devices);
  for (const plan::Plan& replica : replicas) add_devices(replica, devices);
  hold(devices, now);
  next_plans_ = std::move(replicas);
  stop_runs(now, actions);
}

void Fulfilment::start_runs(std::vector<plan::Plan> replicas, TimePoint now, Actions& actions) {
  if (replicas.empty() || !all_available(replicas)) return wait(now, kFirstRetry);
  run_order_ = commons_.next_order();
  stage_ = Stage::starting;
  lost_device_ = false;
  error_.reset();
  runs_.clear();
  std::set<std::string> devices;
  for (plan::Plan& plan : replicas) {
    add_devices(plan, devices);
    tell_data_path(plan, actions);
    Deployment deployment{wish_.file, wish_.model, plan, 1, wish_.plain};
    deployment.data_path = plan.data_path;
    deployment.wire = wish_.wire;
    runs_.push_back({std::move(plan), std::make_unique<Controller>(std::move(deployment), run_order_, now)});
  }
  hold(devices, now);
  feed_runs(Tick{}, now, actions);
}

void Fulfilment::stop_runs(TimePoint now, Actions& actions) {
  stage_ = Stage::stopping;
  feed_runs(StopAsked{}, now, actions);
}

void Fulfilment::feed_runs(const Event& event, TimePoint now, Actions& actions) {
  if (runs_.empty()) return;
  for (Run& run : runs_) {
    if (!run.ended) feed(run, event, now, actions);
  }
  if (std::all_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.ended; }))
    runs_over(now, actions);
}

void Fulfilment::feed(Run& run, const Event& event, TimePoint now, Actions& actions) {
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
  if (run.ended && !next_plans_) run_ended(now);
}

void Fulfilment::run_ended(TimePoint now) {
  planned_for_.clear();  // a plan for all devices may be better than what is left of this one
  std::set<std::string> devices;
  for (const plan::Plan* plan : plans()) add_devices(*plan, devices);
  if (devices.empty()) return;  // see runs_over
  hold(devices, now);
  const auto doubled = kStable * (std::int64_t{1} << std::min(failures_++, 8));
  improve_after_ = now + std::min<std::chrono::milliseconds>(doubled, kLongestRetry);
}

/// Why the fabric was wished for and is not used, when that is so.
void Fulfilment::tell_data_path(const plan::Plan& plan, Actions& actions) const {
  if (data_path_ == DataPath::rpc || plan.data_path == DataPath::fabric || plan.shares.size() < 2) return;
  std::string reason = "it has no room beside the layers, or there are too many devices for it";
  for (const plan::Share& share : plan.shares) {
    const auto peer = commons_.peers.find(share.device);
    if (find_plain(wish_.plain, share.device) != nullptr) {
      reason = share.device + " is a plain worker";
      break;
    }
    if (peer != commons_.peers.end() && peer->second.card && !peer->second.card->fabric)
      reason = share.device + " has no caravan-worker";
  }
  actions.push_back(Told{
      fmt::format("'{}' goes through llama.cpp's RPC, not through the fabric: {}", wish_.model, reason)});
}

/// Whatever the fabric cannot do shows before it serves: then llama.cpp's own way is planned, once for all.
bool Fulfilment::fall_back_to_rpc(TimePoint now, Actions& actions) {
  const bool was_fabric = std::any_of(runs_.begin(), runs_.end(),
                                      [](const Run& run) { return run.plan.data_path == DataPath::fabric; });
  if (!was_fabric || stage_ != Stage::starting || lost_device_ || !error_) return false;
  data_path_ = DataPath::rpc;
  actions.push_back(
      Told{fmt::format("the fast data path cannot serve '{}' ({}): llama.cpp's RPC is used instead",
                       wish_.model, error_->message)});
  // What failed was the data path, not the device.
  for (auto& [device, peer] : commons_.peers) {
    if (peer.failed_with != run_order_) continue;
    peer.spare_until = {};
    peer.failures = std::max(0, peer.failures - 1);
  }
  runs_.clear();
  wait(now, std::chrono::milliseconds(0));
  return true;
}

void Fulfilment::runs_over(TimePoint now, Actions& actions) {
  const bool asked = stage_ == Stage::stopping;
  if (!ending_ && !next_plans_ && fall_back_to_rpc(now, actions)) return;
  runs_.clear();
  if (ending_) {
    stage_ = Stage::idle;
    --commons_.endings;
    hold({}, now);
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

}  // namespace caravan::cluster
