#include "plan/predict_again.h"

#include <algorithm>
#include <utility>

#include "plan/layout.h"
#include "plan/workload.h"

namespace caravan::plan {
namespace {

/// With that number of threads only; 0: with all that were measured.
DeviceProfile with_threads(DeviceProfile device, int threads) {
  if (threads == 0) return device;
  std::vector<DeviceSpeed> speeds = std::exchange(device.with_other_threads, {});
  speeds.push_back(device);
  const auto at = std::find_if(speeds.begin(), speeds.end(),
                               [&](const DeviceSpeed& speed) { return speed.threads == threads; });
  if (at != speeds.end()) {
    static_cast<DeviceSpeed&>(device) = *at;
    return device;
  }
  const auto most =
      std::max_element(speeds.begin(), speeds.end(),
                       [](const DeviceSpeed& a, const DeviceSpeed& b) { return a.threads < b.threads; });
  static_cast<DeviceSpeed&>(device) = *most;
  if (most->threads < threads) slow_down(device, static_cast<double>(threads) / most->threads);
  return device;
}

}  // namespace

std::optional<Plan> predict_again(const model::ModelFacts& model, const Cluster& cluster, Plan plan) {
  Cluster own = cluster;
  own.devices.clear();
  own.devices.reserve(plan.shares.size());
  std::size_t layers = 0;
  for (const Share& share : plan.shares) {
    const auto device = std::find_if(cluster.devices.begin(), cluster.devices.end(),
                                     [&](const DeviceProfile& one) { return one.name == share.device; });
    if (device == cluster.devices.end()) return std::nullopt;
    own.devices.push_back(with_threads(*device, share.threads));
    if (share.rank > 0 && !own.link(own.devices.front(), own.devices.back())) return std::nullopt;
    layers += static_cast<std::size_t>(share.layer_count);
  }
  if (own.devices.empty() || layers != model.n_layers()) return std::nullopt;
  const Usage usage = usage_of(plan);
  const Workload work = workload_of(model, usage);
  return LayoutPlanner(work, own, usage).predicted(std::move(plan));
}

}  // namespace caravan::plan
