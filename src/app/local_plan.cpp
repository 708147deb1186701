#include "app/local_plan.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "plan/layout.h"
#include "plan/profile.h"

namespace caravan::app {
namespace {

/// Of loopback: it hardly matters.
constexpr plan::Link kLoopback{0.00005, 2e9};
constexpr double kMsInSecond = 1000;
constexpr const char* kPlanFile = "planned.json";
constexpr std::uint64_t kMostBytes = 1U << 20U;

}  // namespace

plan::Plan predicted_here(const model::ModelFacts& model, plan::Plan plan, const device::Speed& speed,
                          int threads) {
  if (plan.shares.size() < 2) return plan;
  plan::Cluster cluster;
  cluster.usual = kLoopback;
  std::vector<int> counts;
  counts.reserve(plan.shares.size());
  for (const plan::Share& share : plan.shares) {
    auto profile = plan::profile_from(share.device, share.budget, speed, threads, true);
    if (!profile) return plan;
    cluster.devices.push_back(std::move(*profile));
    counts.push_back(share.layer_count);
  }
  plan::Usage usage = plan::usage_of(plan);
  usage.data_path = plan::DataPath::fabric;
  const plan::Workload work = plan::workload_of(model, usage);
  std::vector<std::size_t> devices(counts.size());
  std::iota(devices.begin(), devices.end(), std::size_t{0});
  const plan::Plan predicted = plan::LayoutPlanner(work, cluster, usage)
                                   .plan_of(devices, counts, plan.head, plan::SpeculationWish::none);
  plan.predicted = predicted.predicted;
  for (std::size_t rank = 0; rank < plan.shares.size(); ++rank) {
    plan.shares[rank].compute = predicted.shares[rank].compute;
    plan.shares[rank].hop = predicted.shares[rank].hop;
  }
  return plan;
}

Result<void> leave_plan(const fs::path& state_folder, const std::string& model, const plan::Plan& plan) {
  Json replica{
      {"parallel", plan.parallel},
      {"predicted", {{"decode", plan.predicted.decode}, {"air_ms", plan.predicted.air * kMsInSecond}}}};
  for (const plan::Share& share : plan.shares) {
    Json told{{"device", share.device}, {"rank", share.rank}, {"layers", share.layer_count}};
    if (share.compute > 0) told["compute_ms"] = share.compute * kMsInSecond;
    if (share.hop > 0) told["hop_ms"] = share.hop * kMsInSecond;
    replica["shares"].push_back(std::move(told));
  }
  Json deployment{{"model", model}};
  deployment["replicas"].push_back(std::move(replica));
  Json view{{"self", {{"id", plan.shares.front().device}}}};
  view["deployments"].push_back(std::move(deployment));
  return write_file_atomically(state_folder / kPlanFile, dump_json(view));
}

Json plan_left(const fs::path& state_folder) {
  const auto text = read_file(state_folder / kPlanFile, Bytes{kMostBytes});
  if (!text) return nullptr;
  const auto json = parse_json(*text, kMostBytes);
  return json ? *json : Json();
}

}  // namespace caravan::app
