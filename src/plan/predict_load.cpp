// How long a layout takes to load: the part of LayoutPlanner that follows the weights (docs/planner.md).
#include <algorithm>

#include "plan/layout.h"

namespace caravan::plan {
namespace {

bool has_head(std::size_t rank, std::size_t ranks, Head head) {
  return head == Head::master ? rank == 0 : rank + 1 == ranks;
}

}  // namespace

/// The master reads the file from its beginning to its end: it stores what is its own, and sends the rest,
/// one tensor after the other.
LayoutPlanner::Load LayoutPlanner::load_rpc(const std::vector<std::size_t>& devices,
                                            const std::vector<int>& counts, Head head) const {
  const std::size_t master = devices.front();
  double load =
      start_seconds(cluster_.devices[master]) + read_seconds(cluster_.devices[master], work_.weights);
  std::size_t layer = 0;
  for (std::size_t k = 0; k < devices.size(); ++k) {
    const DeviceCosts& own = costs(devices[k], k == 0 ? WeightLayout::repacked : WeightLayout::plain);
    const bool with_head = has_head(k, devices.size(), head);
    Bytes weights = with_head ? work_.head.weights : Bytes{};
    if (with_head) load += own.head_store;
    for (int n = 0; n < counts[k]; ++n, ++layer) {
      load += own.store[kind_of_layer_[layer]];
      weights += work_.layers[layer].weights;
    }
    if (k > 0) load += send_seconds(*link(master, devices[k]), weights, DataPath::rpc);
  }
  return {load, load};
}

/// Each device takes its own from its own disk, all at once, and compares it with what it should be; what is
/// nowhere but at the master is hashed and sent first, each tensor once.
LayoutPlanner::Load LayoutPlanner::load_fabric(const std::vector<std::size_t>& devices,
                                               const std::vector<int>& counts, Head head) const {
  const std::size_t master = devices.front();
  double slowest = 0;
  double sending = 0;
  std::size_t layer = 0;
  for (std::size_t k = 0; k < devices.size(); ++k) {
    const DeviceProfile& device = cluster_.devices[devices[k]];
    const DeviceCosts& own = costs(devices[k], WeightLayout::repacked);
    const bool with_head = has_head(k, devices.size(), head);
    Bytes weights = with_head ? work_.head.weights : Bytes{};
    double storing = with_head ? own.head_store : 0;
    for (int n = 0; n < counts[k]; ++n, ++layer) {
      storing += own.store[kind_of_layer_[layer]];
      weights += work_.layers[layer].weights;
    }
    slowest = std::max(slowest, read_seconds(device, weights) + hash_seconds(device, weights) + storing);
    if (k > 0) sending += send_seconds(*link(master, devices[k]), weights, DataPath::fabric);
  }
  const DeviceProfile& first = cluster_.devices[master];
  const double again = start_seconds(first) + slowest;
  return {again + hash_seconds(first, work_.weights) + sending, again};
}

}  // namespace caravan::plan
