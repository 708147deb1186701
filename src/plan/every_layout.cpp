#include "plan/every_layout.h"

#include <algorithm>

#include <fmt/format.h>

#include "plan/layout.h"

namespace caravan::plan {
namespace {

class Enumeration {
 public:
  Enumeration(const Cluster& cluster, const LayoutPlanner& planner, int layers)
      : cluster_(cluster), planner_(planner), layers_(layers) {}

  /// All layouts whose first devices are `devices`.
  void add_orders(std::vector<std::size_t>& devices) {
    if (!devices.empty()) {
      std::vector<int> counts;
      add_cuts(devices, counts, layers_);
    }
    for (std::size_t next = 0; next < cluster_.devices.size(); ++next) {
      if (std::find(devices.begin(), devices.end(), next) != devices.end()) continue;
      if (!devices.empty() && !reaches(devices.front(), next)) continue;
      devices.push_back(next);
      add_orders(devices);
      devices.pop_back();
    }
  }

  std::vector<Plan> all;

 private:
  bool reaches(std::size_t master, std::size_t worker) const {
    return cluster_.link(cluster_.devices[master], cluster_.devices[worker]).has_value();
  }

  /// `counts`: of the first devices; `left`: layers for the rest.
  void add_cuts(const std::vector<std::size_t>& devices, std::vector<int>& counts, int left) {
    const std::size_t rank = counts.size();
    const int behind = static_cast<int>(devices.size() - rank) - 1;
    if (behind == 0) {
      counts.push_back(left);
      add(devices, counts);
      counts.pop_back();
      return;
    }
    for (int count = rank > 0 ? 1 : 0; count <= left - behind; ++count) {
      counts.push_back(count);
      add_cuts(devices, counts, left - count);
      counts.pop_back();
    }
  }

  void add(const std::vector<std::size_t>& devices, const std::vector<int>& counts) {
    for (const Head head : {Head::master, Head::last_worker}) {
      if (devices.size() == 1 && head == Head::last_worker) continue;
      Plan plan = planner_.plan_of(devices, counts, head, SpeculationWish::none);
      const bool fits = std::all_of(plan.shares.begin(), plan.shares.end(),
                                    [](const Share& share) { return share.total() <= share.budget; });
      if (fits) all.push_back(std::move(plan));
    }
  }

  const Cluster& cluster_;
  const LayoutPlanner& planner_;
  int layers_;
};

}  // namespace

Result<std::vector<Plan>> every_layout(const model::ModelFacts& model, const Cluster& cluster,
                                       const Usage& usage) {
  if (cluster.devices.size() > kMostToEnumerate || model.n_layers() > kMostLayersToEnumerate) {
    return Error{Code::invalid,
                 fmt::format("{} devices and {} layers have too many layouts", cluster.devices.size(),
                             model.n_layers()),
                 fmt::format("at most {} devices and {} layers", kMostToEnumerate, kMostLayersToEnumerate)};
  }
  const Workload work = workload_of(model, usage);
  const LayoutPlanner planner(work, cluster, usage);
  Enumeration enumeration(cluster, planner, static_cast<int>(model.n_layers()));
  std::vector<std::size_t> devices;
  enumeration.add_orders(devices);
  return std::move(enumeration.all);
}

}  // namespace caravan::plan
