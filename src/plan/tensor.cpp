#include "plan/tensor.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "plan/cost.h"

namespace caravan::plan {
namespace {

constexpr int kSumsOfALayer = 2;  ///< behind attention and behind feed-forward
/// Of one sum, besides the way and the bytes: reading, adding, and what ggml does between two parts of a
/// graph. A fit (docs/planner.md).
constexpr double kSumOverhead = 0.0002;
constexpr std::size_t kMostRanks = 4;
constexpr double kWorthIt = 1.1;

/// What the operations cost is paid by each; what they multiply is shared.
double shared_layer(const DeviceSpeed& speed, const Part& layer, std::size_t ranks, int tokens) {
  Part part = layer;
  const auto n = static_cast<double>(ranks);
  for (TypedWeights& weights : part.active) {
    weights.bytes /= n;
    weights.multiplies /= n;
  }
  part.attention /= n;
  if (tokens < kOverlappingMicroBatch) return decode_seconds(speed, part, WeightLayout::repacked, tokens);
  return prefill_seconds(speed, part, WeightLayout::repacked, tokens);
}

double layers_seconds(const Workload& work, const DeviceSpeed& speed, std::size_t ranks, int tokens) {
  double sum = 0;
  for (const Part& layer : work.layers) sum += shared_layer(speed, layer, ranks, tokens);
  return sum;
}

/// The slowest way between two of them, and the narrowest.
Link worst_link(const Cluster& cluster, const std::vector<std::size_t>& devices) {
  Link worst{0, 1e18};
  for (const std::size_t from : devices) {
    for (const std::size_t to : devices) {
      if (from == to) continue;
      const auto link = cluster.link(cluster.devices[from], cluster.devices[to]);
      if (!link) continue;
      worst.round_trip = std::max(worst.round_trip, link->round_trip);
      worst.bandwidth = std::min(worst.bandwidth, link->bandwidth);
    }
  }
  return worst;
}

bool has_room(const Workload& work, const DeviceProfile& device, std::size_t ranks, bool is_master) {
  ProcessRole role;
  role.data_path = DataPath::fabric;
  role.is_master = is_master;
  role.has_head = is_master;
  Bytes layers;
  for (const Part& layer : work.layers) layers += layer.weights + layer.kv;
  Bytes need = process_overhead(work, role) + Bytes{layers.count / ranks};
  if (is_master) need += work.on_master + work.head_on_master;
  return need <= device.memory;
}

/// Devices that all reach each other, the fastest first.
std::vector<std::size_t> connected(const Workload& work, const Cluster& cluster) {
  std::vector<std::pair<double, std::size_t>> by_speed;
  by_speed.reserve(cluster.devices.size());
  for (std::size_t i = 0; i < cluster.devices.size(); ++i)
    by_speed.emplace_back(layers_seconds(work, cluster.devices[i], 1, 1), i);
  std::sort(by_speed.begin(), by_speed.end());
  std::vector<std::size_t> chosen;
  for (const auto& [_, device] : by_speed) {
    const auto reaches = [&, device = device](std::size_t other) {
      return cluster.link(cluster.devices[device], cluster.devices[other]).has_value();
    };
    if (chosen.size() < kMostRanks && std::all_of(chosen.begin(), chosen.end(), reaches))
      chosen.push_back(device);
  }
  return chosen;
}

std::string hindrance(const Workload& work, const Usage& usage) {
  if (usage.kv != model::KvType::f16) return "its KV cache is quantized";
  if (work.recurrent) return "it has recurrent layers";
  if (work.kv_heads < 2) return "its heads cannot be shared out";
  return "";
}

}  // namespace

double tensor_sum_seconds(const Workload& work, const Cluster& cluster,
                          const std::vector<std::size_t>& devices, int tokens) {
  const Link worst = worst_link(cluster, devices);
  // Everybody sends its part to each other one, and they share the air.
  const auto parts = static_cast<double>(devices.size() * (devices.size() - 1));
  return worst.round_trip / 2 + kSumOverhead + 4 * work.width * tokens * parts / worst.bandwidth;
}

double tensor_step_seconds(const Workload& work, const Cluster& cluster,
                           const std::vector<std::size_t>& devices, int tokens) {
  double slowest = 0;
  for (const std::size_t device : devices)
    slowest = std::max(slowest, layers_seconds(work, cluster.devices[device], devices.size(), tokens));
  const double sums = kSumsOfALayer * static_cast<double>(work.layers.size()) *
                      tensor_sum_seconds(work, cluster, devices, tokens);
  // To the others and back once.
  return slowest + sums + 2 * hand_on_seconds(worst_link(cluster, devices), work.width, tokens);
}

TensorOutlook tensor_outlook(const Workload& work, const Cluster& cluster, const Usage& usage) {
  TensorOutlook best;
  best.hindrance = hindrance(work, usage);
  if (!best.hindrance.empty()) return best;
  const auto fastest = connected(work, cluster);
  best.hindrance = "no two devices that reach each other have room for it";
  for (std::size_t ranks = 2; ranks <= fastest.size(); ++ranks) {
    if (work.kv_heads % static_cast<int>(ranks) != 0) continue;
    const std::vector<std::size_t> devices(fastest.begin(),
                                           fastest.begin() + static_cast<std::ptrdiff_t>(ranks));
    bool fits = true;
    for (const std::size_t device : devices)
      fits &= has_room(work, cluster.devices[device], ranks, device == devices.front());
    if (!fits) continue;
    const DeviceProfile& master = cluster.devices[devices.front()];
    const double step = tensor_step_seconds(work, cluster, devices, usage.parallel) +
                        decode_seconds(master, work.head, WeightLayout::repacked, usage.parallel) +
                        sampling_seconds(work.vocabulary, usage.parallel);
    if (usage.parallel / step <= best.decode) continue;
    best = {"", devices, usage.parallel / step, 0, 0, 0};
    best.prefill =
        kOverlappingMicroBatch / tensor_step_seconds(work, cluster, devices, kOverlappingMicroBatch);
    best.sums = kSumsOfALayer * static_cast<int>(work.layers.size());
    best.sum = tensor_sum_seconds(work, cluster, devices, usage.parallel);
  }
  return best;
}

std::string describe(const TensorOutlook& outlook, const Cluster& cluster, const Plan& plan) {
  if (!outlook.hindrance.empty())
    return fmt::format("layers are not split within themselves (tensor parallelism): {}", outlook.hindrance);
  std::vector<std::string> names;
  names.reserve(outlook.devices.size());
  for (const std::size_t device : outlook.devices) names.push_back(cluster.devices[device].name);
  const double now = plan.predicted.decode;
  const std::string speeds =
      fmt::format("{:.1f} instead of {:.1f} tokens/s (prompts {} instead of {})", outlook.decode, now,
                  format_token_rate(outlook.prefill), format_token_rate(plan.predicted.prefill));
  if (outlook.decode > now * kWorthIt) {
    return fmt::format(
        "each layer split over {} (tensor parallelism) would give {}; `caravan serve` cannot start that yet, "
        "docs/fabric-plan.md says how by hand",
        join(names, " and "), speeds);
  }
  return fmt::format(
      "layers are not split within themselves (tensor parallelism): over {} that would give {}, with {} sums "
      "of {:.1f} ms for each token",
      join(names, " and "), speeds, outlook.sums, outlook.sum * 1000);
}

}  // namespace caravan::plan
