#include "app/plan_maker.h"

#include <algorithm>
#include <utility>

#include "model/gguf.h"
#include "plan/predict_again.h"

namespace caravan::app {
namespace {

/// docs/planner.md.
constexpr double kCableRoundTrip = 0.001;
constexpr double kCableBandwidth = 100e6;
constexpr double kAirBandwidth = 20e6;

plan::Wishes wishes_of(const cluster::PlanRequest& request) {
  const cluster::Wish& wish = request.wish;
  plan::Wishes wishes;
  wishes.objective = wish.objective;
  wishes.data_path = wish.data_path;
  wishes.context = wish.context;
  wishes.parallel = wish.parallel;
  wishes.use = wish.use;
  wishes.avoid = wish.avoid;
  wishes.keep_free = wish.keep_free;
  wishes.speculation = wish.speculation;
  wishes.masters = request.holders;
  for (const cluster::PlainWorker& worker : wish.plain) wishes.use.push_back(name_of(worker));
  // Wishes name devices that may be away, or carry another model: that must not stop the others.
  const auto is_away = [&request](const std::string& name) {
    const auto& all = request.devices.devices;
    return std::none_of(all.begin(), all.end(), [&](const auto& device) { return device.name == name; });
  };
  std::erase_if(wishes.use, is_away);
  std::erase_if(wishes.avoid, is_away);
  return wishes;
}

/// Where the objective is the same: the longer context, or the faster.
bool is_better(const plan::Proposal& a, const plan::Proposal& b, plan::Objective objective) {
  const int context = a.replicas.front().context - b.replicas.front().context;
  if (objective == plan::Objective::fit && context != 0) return context > 0;
  return a.predicted.decode >= b.predicted.decode;
}

/// Everybody in a replica has to have the fabric. Where not all do, the best plan of those who have it is
/// held against the best one with everybody through RPC.
Result<std::vector<plan::Plan>> replicas_for(const model::ModelFacts& facts,
                                             const cluster::PlanRequest& request) {
  const plan::Wishes wishes = wishes_of(request);
  plan::Wishes through_fabric = wishes;
  for (const plan::DeviceProfile& device : request.devices.devices) {
    const auto has = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), device.name) != names.end();
    };
    if (!has(request.fabric) && !has(through_fabric.avoid)) through_fabric.avoid.push_back(device.name);
  }
  plan::Wishes through_rpc = wishes;
  through_rpc.data_path = plan::DataPath::rpc;
  const bool all_have_it = through_fabric.avoid.size() == wishes.avoid.size();
  if (wishes.data_path == plan::DataPath::rpc || all_have_it) {
    auto proposal = plan::propose(facts, request.devices, wishes);
    if (!proposal) return proposal.error();
    return std::move(proposal->replicas);
  }
  auto with_all = plan::propose(facts, request.devices, through_rpc);
  auto with_some = plan::propose(facts, request.devices, through_fabric);
  if (with_some && (!with_all || is_better(*with_some, *with_all, wishes.objective)))
    return std::move(with_some->replicas);
  if (!with_all) return with_all.error();
  return std::move(with_all->replicas);
}

std::vector<plan::Plan> predicted(const model::ModelFacts& facts, const plan::Cluster& devices,
                                  const std::vector<plan::Plan>& running) {
  std::vector<plan::Plan> known;
  known.reserve(running.size());
  for (const plan::Plan& plan : running) {
    if (auto again = plan::predict_again(facts, devices, plan)) known.push_back(std::move(*again));
  }
  return known;
}

double decode_of(const std::vector<plan::Plan>& plans) {
  double sum = 0;
  for (const plan::Plan& plan : plans) sum += plan.predicted.decode;
  return sum;
}

/// With those who should carry little taken for slow.
cluster::PlanRequest slowed_down(cluster::PlanRequest request) {
  for (plan::DeviceProfile& device : request.devices.devices) {
    const auto slow = request.slow.find(device.name);
    if (slow == request.slow.end()) continue;
    plan::slow_down(device, 1 / slow->second);
    for (plan::DeviceSpeed& other : device.with_other_threads) plan::slow_down(other, 1 / slow->second);
  }
  return request;
}

}  // namespace

plan::Link link_of(double round_trip, std::optional<double> bandwidth) {
  return {round_trip, bandwidth.value_or(round_trip < kCableRoundTrip ? kCableBandwidth : kAirBandwidth)};
}

/// What runs is predicted by who makes the plan: both come from the same figures then.
cluster::Planned make_plan(const fs::path& model, const cluster::PlanRequest& request) {
  const auto facts = model::read_model_facts(model);
  if (!facts) return {request.number, facts.error()};
  const cluster::PlanRequest slowed = slowed_down(request);
  cluster::Planned planned{request.number, replicas_for(*facts, slowed)};
  planned.running = predicted(*facts, request.devices, request.running);
  if (request.slow.empty() || !planned.replicas) return planned;
  // What is told is what is expected, not what a device is taken for.
  const auto weighed = predicted(*facts, slowed.devices, request.running);
  if (!weighed.empty() && weighed.size() == request.running.size())
    planned.weighed = cluster::Planned::Weighed{decode_of(*planned.replicas), decode_of(weighed)};
  for (plan::Plan& replica : *planned.replicas) {
    if (auto again = plan::predict_again(*facts, request.devices, replica)) replica = std::move(*again);
  }
  return planned;
}

}  // namespace caravan::app
