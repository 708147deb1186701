#include "app/plan_maker.h"

#include <algorithm>
#include <utility>

#include "model/gguf.h"

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

}  // namespace

plan::Link link_of(double round_trip, std::optional<double> bandwidth) {
  return {round_trip, bandwidth.value_or(round_trip < kCableRoundTrip ? kCableBandwidth : kAirBandwidth)};
}

/// Everybody in a replica has to have the fabric. Where not all do, the best plan of those who have it is
/// held against the best one with everybody through RPC.
Result<std::vector<plan::Plan>> make_plan(const fs::path& model, const cluster::PlanRequest& request) {
  const auto facts = model::read_model_facts(model);
  if (!facts) return facts.error();
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
    auto proposal = plan::propose(*facts, request.devices, wishes);
    if (!proposal) return proposal.error();
    return std::move(proposal->replicas);
  }
  auto with_all = plan::propose(*facts, request.devices, through_rpc);
  auto with_some = plan::propose(*facts, request.devices, through_fabric);
  if (with_some && (!with_all || is_better(*with_some, *with_all, wishes.objective)))
    return std::move(with_some->replicas);
  if (!with_all) return with_all.error();
  return std::move(with_all->replicas);
}

}  // namespace caravan::app
