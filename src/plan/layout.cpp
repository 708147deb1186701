#include "plan/layout.h"

#include <algorithm>

#include "plan/cost.h"

namespace caravan::plan {
namespace {

constexpr std::size_t kWorthPairs = 64;  ///< with more devices not each of their links is looked at
/// The engine calls sampling in the graph experimental: not for less than this.
constexpr double kWorthOtherSampling = 0.95;
constexpr double kWorthMoreThreads = 0.97;

bool is_alike(const Part& a, const Part& b) {
  const auto same_weights = [](const TypedWeights& x, const TypedWeights& y) {
    return x.type == y.type && x.bytes == y.bytes && x.multiplies == y.multiplies;
  };
  return a.weights == b.weights && a.kv == b.kv && a.attention == b.attention && a.elements == b.elements &&
         a.nodes == b.nodes &&
         std::equal(a.active.begin(), a.active.end(), b.active.begin(), b.active.end(), same_weights);
}

}  // namespace

int micro_batch(DataPath path, Head head, std::size_t n_devices) {
  const bool overlaps = n_devices > 1 && (path == DataPath::fabric || head == Head::last_worker);
  return overlaps ? kOverlappingMicroBatch : kUsualMicroBatch;
}

LayoutPlanner::LayoutPlanner(const Workload& work, const Cluster& cluster, const Usage& usage)
    : work_(work), cluster_(cluster), usage_(usage) {
  std::vector<const Part*> kinds;
  kind_of_layer_.reserve(work.layers.size());
  for (const Part& layer : work.layers) {
    const auto known =
        std::find_if(kinds.begin(), kinds.end(), [&](const Part* kind) { return is_alike(*kind, layer); });
    kind_of_layer_.push_back(static_cast<std::size_t>(known - kinds.begin()));
    if (known == kinds.end()) kinds.push_back(&layer);
  }
  repacked_.reserve(cluster.devices.size());
  plain_.reserve(cluster.devices.size());
  for (const DeviceProfile& device : cluster.devices) {
    repacked_.push_back(best_threads(device, kinds, WeightLayout::repacked));
    plain_.push_back(best_threads(device, kinds, WeightLayout::plain));
  }
  if (cluster.devices.size() > kWorthPairs) return;
  links_.reserve(cluster.devices.size() * cluster.devices.size());
  for (const DeviceProfile& from : cluster.devices) {
    for (const DeviceProfile& to : cluster.devices) links_.push_back(cluster.link(from, to));
  }
}

LayoutPlanner::DeviceCosts LayoutPlanner::costs_of(const DeviceSpeed& speed,
                                                   const std::vector<const Part*>& kinds,
                                                   WeightLayout layout) const {
  DeviceCosts costs;
  costs.speed = &speed;
  for (const Part* kind : kinds) {
    costs.decode.push_back(decode_seconds(speed, *kind, layout, usage_.parallel));
    costs.prefill.push_back(prefill_seconds(speed, *kind, layout, kUsualMicroBatch));
    costs.small_prefill.push_back(prefill_seconds(speed, *kind, layout, kOverlappingMicroBatch));
    costs.store.push_back(store_seconds(speed, *kind, layout));
  }
  costs.head_store = store_seconds(speed, work_.head, layout);
  costs.head_decode = decode_seconds(speed, work_.head, layout, usage_.parallel);
  // Of a prompt only the last token's logits are computed.
  costs.head_prefill = decode_seconds(speed, work_.head, layout, 1);
  return costs;
}

/// By what all layers would take there, a token read for each one written; more threads only where that is
/// worth it.
LayoutPlanner::DeviceCosts LayoutPlanner::best_threads(const DeviceProfile& device,
                                                       const std::vector<const Part*>& kinds,
                                                       WeightLayout layout) const {
  std::vector<const DeviceSpeed*> speeds{&device};
  for (const DeviceSpeed& other : device.with_other_threads) speeds.push_back(&other);
  std::stable_sort(speeds.begin(), speeds.end(),
                   [](const DeviceSpeed* a, const DeviceSpeed* b) { return a->threads < b->threads; });
  const auto seconds = [&](const DeviceCosts& costs) {
    double sum = costs.head_decode;
    for (const std::size_t kind : kind_of_layer_)
      sum += costs.decode[kind] + costs.prefill[kind] * usage_.parallel / kUsualMicroBatch;
    return sum;
  };
  DeviceCosts best = costs_of(*speeds.front(), kinds, layout);
  for (const DeviceSpeed* speed : speeds) {
    DeviceCosts costs = costs_of(*speed, kinds, layout);
    if (seconds(costs) < seconds(best) * kWorthMoreThreads) best = std::move(costs);
  }
  return best;
}

const LayoutPlanner::DeviceCosts& LayoutPlanner::costs(std::size_t device, WeightLayout layout) const {
  return layout == WeightLayout::repacked ? repacked_[device] : plain_[device];
}

std::optional<Link> LayoutPlanner::link(std::size_t from, std::size_t to) const {
  if (links_.empty()) return cluster_.link(cluster_.devices[from], cluster_.devices[to]);
  return links_[from * cluster_.devices.size() + to];
}

double LayoutPlanner::hop(std::size_t master, std::size_t worker, double result, int tokens) const {
  return hop_seconds(*link(master, worker), work_.width, result, tokens);
}

/// Through the master where two workers cannot reach each other.
HandOn LayoutPlanner::hand_on(std::size_t master, std::size_t from, std::size_t to,
                              double prompt_share) const {
  const auto direct = from == to ? std::nullopt : link(from, to);
  if (!direct && from != master) {
    const HandOn there = hand_on(master, master, from, prompt_share);
    const HandOn on = hand_on(master, master, to, prompt_share);
    return {there.cost + on.cost, there.load + on.load};
  }
  const double step = hand_on_seconds(*direct, work_.width, usage_.parallel);
  const double batch = hand_on_seconds(*direct, work_.width, kOverlappingMicroBatch);
  return {step + prompt_share * batch, hand_on_work(*direct, work_.width, kOverlappingMicroBatch)};
}

std::optional<LayoutPlanner::Found> LayoutPlanner::best_with(Head head, const LayoutWishes& wishes,
                                                             std::optional<double> bound) const {
  std::optional<Found> best;
  auto all = candidates(head, wishes);
  // What the likeliest cut with any master costs spares the search for a better one with most of the others.
  for (const Candidate& candidate : all) {
    const auto cost = likely_cost(candidate.chain);
    if (cost && (!bound || *cost < *bound)) bound = cost;
  }
  for (Candidate& candidate : all) {
    auto cut = cheapest_cut(candidate.chain, best ? std::optional<double>(best->cut.cost) : bound);
    if (!cut) continue;
    const double margin = best ? 1e-9 * best->cut.cost : 0;
    const bool cheaper = !best || cut->cost < best->cut.cost - margin;
    const bool as_cheap = best && cut->cost <= best->cut.cost + margin;
    if (cheaper || (as_cheap && cut->segments.size() < best->cut.segments.size()))
      best = Found{std::move(candidate), std::move(*cut), head};
  }
  return best;
}

std::optional<Plan> LayoutPlanner::best(const LayoutWishes& wishes) const {
  auto best = best_with(Head::master, wishes, std::nullopt);
  const double worth = usage_.data_path == DataPath::fabric ? kWorthOtherSampling : 1;
  const auto bound = best ? std::optional<double>(best->cut.cost * worth) : std::nullopt;
  auto other = wishes.alone_if_possible && best && best->cut.segments.size() == 1
                   ? std::nullopt
                   : best_with(Head::last_worker, wishes, bound);
  const bool cheaper = other && (!best || other->cut.cost < *bound * (1 - 1e-9));
  const bool as_cheap = other && best && worth == 1 && other->cut.cost <= *bound * (1 + 1e-9);
  if (cheaper || (as_cheap && other->cut.segments.size() < best->cut.segments.size()))
    best = std::move(other);
  if (!best) return std::nullopt;
  const auto& segments = best->cut.segments;
  std::vector<std::size_t> devices;
  std::vector<int> counts;
  devices.reserve(segments.size());
  counts.reserve(segments.size());
  for (const Segment& segment : segments) {
    devices.push_back(best->candidate.members[segment.carrier]);
    counts.push_back(segment.count);
  }
  return plan_of(devices, counts, segments.size() > 1 ? best->head : Head::master, wishes.speculation);
}

int LayoutPlanner::most_layers(const LayoutWishes& wishes) const {
  int most = 0;
  for (const Candidate& candidate : candidates(Head::master, wishes))
    most = std::max(most, plan::most_layers(candidate.chain));
  return most;
}

Plan LayoutPlanner::plan_of(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                            Head head, SpeculationWish speculation) const {
  const DataPath path = devices.size() > 1 ? usage_.data_path : DataPath::rpc;
  Plan plan;
  plan.context = usage_.context;
  plan.parallel = usage_.parallel;
  plan.kv = usage_.kv;
  plan.data_path = path;
  plan.head = head;
  plan.micro_batch = micro_batch(path, head, devices.size());
  plan.shares.reserve(devices.size());
  int first = 0;
  for (const std::size_t index : devices) {
    const DeviceProfile& device = cluster_.devices[index];
    const int count = counts[plan.shares.size()];
    const bool is_master = plan.shares.empty();
    const bool is_last = plan.shares.size() + 1 == devices.size();
    const bool has_head = is_master ? head == Head::master : head == Head::last_worker && is_last;
    const bool repacks = is_master || path == DataPath::fabric;
    ProcessRole its = role(path, is_master, has_head);
    its.has_layers = count > 0;
    Share share;
    share.device = device.name;
    share.rank = static_cast<int>(plan.shares.size());
    share.first_layer = first;
    share.layer_count = count;
    share.threads = costs(index, repacks ? WeightLayout::repacked : WeightLayout::plain).speed->threads;
    share.budget = device.memory;
    share.overhead = process_overhead(work_, its);
    if (is_master) share.weights += work_.on_master;
    if (has_head) share.weights += is_master ? work_.head_on_master : work_.head.weights;
    for (int l = first; l < first + count; ++l) {
      share.weights += work_.layers[static_cast<std::size_t>(l)].weights;
      share.kv_cache += work_.layers[static_cast<std::size_t>(l)].kv;
    }
    first += count;
    plan.shares.push_back(std::move(share));
  }
  plan.predicted = predict(devices, counts, head);
  if (path == DataPath::fabric) predict_shares(devices, plan);
  add_speculation(devices, counts, speculation, plan);
  return plan;
}

Prediction LayoutPlanner::predict(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                                  Head head) const {
  const bool is_fabric = goes_through_fabric(devices);
  Prediction predicted =
      is_fabric ? predict_fabric(devices, counts, head) : predict_rpc(devices, counts, head);
  const Load load = is_fabric ? load_fabric(devices, counts, head) : load_rpc(devices, counts, head);
  predicted.load = load.first;
  predicted.load_again = load.again;
  return predicted;
}

}  // namespace caravan::plan
