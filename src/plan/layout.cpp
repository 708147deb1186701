#include "plan/layout.h"

#include <algorithm>
#include <numeric>

#include "plan/cost.h"

namespace caravan::plan {
namespace {

constexpr std::size_t kManyDevices = 16;  ///< beyond, only the likeliest masters are tried
constexpr std::size_t kLikelyMasters = 8;
constexpr int kOverlappingMicroBatch = 64;

std::size_t index_of(WeightLayout layout) { return layout == WeightLayout::repacked ? 0 : 1; }

bool is_alike(const Part& a, const Part& b) {
  const auto same_weights = [](const TypedWeights& x, const TypedWeights& y) {
    return x.type == y.type && x.bytes == y.bytes && x.multiplies == y.multiplies;
  };
  return a.weights == b.weights && a.kv == b.kv && a.attention == b.attention && a.elements == b.elements &&
         a.nodes == b.nodes &&
         std::equal(a.active.begin(), a.active.end(), b.active.begin(), b.active.end(), same_weights);
}

bool is_allowed(const LayoutWishes& wishes, std::size_t device) {
  return wishes.allowed.empty() || wishes.allowed[device];
}
bool is_required(const LayoutWishes& wishes, std::size_t device) {
  return !wishes.required.empty() && wishes.required[device];
}

/// Of the workers' places in the network only the master's matters: stock RPC relays everything through it.
WeightLayout layout_of(bool is_master) { return is_master ? WeightLayout::repacked : WeightLayout::plain; }

}  // namespace

int micro_batch(Head head, std::size_t n_devices) {
  return head == Head::last_worker && n_devices > 1 ? kOverlappingMicroBatch : kUsualMicroBatch;
}

LayoutPlanner::LayoutPlanner(const Workload& work, const Cluster& cluster, const Usage& usage)
    : work_(work), cluster_(cluster), usage_(usage) {
  std::vector<const Part*> kinds;
  for (const Part& layer : work.layers) {
    const auto known =
        std::find_if(kinds.begin(), kinds.end(), [&](const Part* kind) { return is_alike(*kind, layer); });
    kind_of_layer_.push_back(static_cast<std::size_t>(known - kinds.begin()));
    if (known == kinds.end()) kinds.push_back(&layer);
  }
  for (const DeviceProfile& device : cluster.devices) {
    DeviceCosts costs{};
    for (const WeightLayout layout : {WeightLayout::repacked, WeightLayout::plain}) {
      const std::size_t i = index_of(layout);
      for (const Part* kind : kinds) {
        costs.decode[i].push_back(decode_seconds(device, *kind, layout, usage.parallel));
        costs.prefill[i].push_back(prefill_seconds(device, *kind, layout, kUsualMicroBatch));
      }
      costs.head_decode[i] = decode_seconds(device, work.head, layout, usage.parallel);
      // Of a prompt only the last token's logits are computed.
      costs.head_prefill[i] = decode_seconds(device, work.head, layout, 1);
    }
    costs_.push_back(std::move(costs));
  }
}

double LayoutPlanner::hop(std::size_t master, std::size_t worker, double result, int tokens) const {
  const auto link = cluster_.link(cluster_.devices[master], cluster_.devices[worker]);
  return hop_seconds(*link, work_.width, result, tokens);
}

std::uint64_t LayoutPlanner::room(std::size_t device, bool is_master, Head head,
                                  const LayoutWishes& wishes) const {
  const bool has_head = is_master == (head == Head::master);
  Bytes taken = process_overhead(work_, is_master, has_head) + wishes.keep_free;
  if (is_master) taken += work_.on_master;
  if (is_master && head == Head::master) taken += work_.head_on_master;
  const Bytes memory = cluster_.devices[device].memory;
  return memory.count > taken.count ? memory.count - taken.count : 0;
}

/// `members`: the devices behind the chain's carriers. Nothing when the device cannot be a master.
std::optional<Chain> LayoutPlanner::chain_for(std::size_t master, Head head, const LayoutWishes& wishes,
                                              std::vector<std::size_t>& members) const {
  Chain chain;
  for (const Part& layer : work_.layers) chain.sizes.push_back((layer.weights + layer.kv).count);
  const double prompt_share = wishes.prompt_weight * usage_.parallel / kUsualMicroBatch;
  members.clear();
  const auto add = [&](std::size_t device) {
    const bool is_master = device == master;
    const std::size_t i = index_of(layout_of(is_master));
    const DeviceCosts& costs = costs_[device];
    Carrier carrier;
    carrier.cost.reserve(kind_of_layer_.size());
    for (const std::size_t kind : kind_of_layer_) {
      carrier.cost.push_back(costs.decode[i][kind] + prompt_share * costs.prefill[i][kind]);
    }
    carrier.room = room(device, is_master, head, wishes);
    carrier.required = !is_master && is_required(wishes, device);
    if (!is_master) {
      carrier.entry = hop(master, device, work_.width, usage_.parallel) +
                      prompt_share * hop(master, device, work_.width, kUsualMicroBatch);
    }
    if (head == Head::master && is_master) carrier.entry += costs.head_decode[i];
    if (head == Head::last_worker) {
      carrier.tail_cost = costs.head_decode[i];
      carrier.tail_size = is_master ? work_.head_on_master.count : work_.head.weights.count;
      if (!is_master) {
        carrier.tail_cost += hop(master, device, work_.vocabulary, usage_.parallel) -
                             hop(master, device, work_.width, usage_.parallel);
      }
    }
    members.push_back(device);
    chain.carriers.push_back(std::move(carrier));
  };
  add(master);
  // A master that cannot hold what only a master holds.
  const Bytes least = process_overhead(work_, true, head == Head::master) + wishes.keep_free +
                      work_.on_master + (head == Head::master ? work_.head_on_master : Bytes{});
  if (cluster_.devices[master].memory < least) return std::nullopt;
  for (std::size_t device = 0; device < cluster_.devices.size(); ++device) {
    const bool reachable =
        device != master && cluster_.link(cluster_.devices[master], cluster_.devices[device]);
    if (reachable && is_allowed(wishes, device)) {
      add(device);
    } else if (device != master && is_required(wishes, device)) {
      return std::nullopt;
    }
  }
  return chain;
}

std::vector<std::size_t> LayoutPlanner::masters(const LayoutWishes& wishes) const {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < cluster_.devices.size(); ++i) {
    if (is_allowed(wishes, i) && (wishes.masters.empty() || wishes.masters[i])) all.push_back(i);
  }
  if (all.size() <= kManyDevices) return all;
  const auto seconds = [&](std::size_t device) {
    const auto& decode = costs_[device].decode[0];
    double sum = costs_[device].head_decode[0];
    for (const std::size_t kind : kind_of_layer_) sum += decode[kind];
    return sum;
  };
  std::vector<std::pair<double, std::size_t>> by_speed;
  by_speed.reserve(all.size());
  for (const std::size_t device : all) by_speed.emplace_back(seconds(device), device);
  std::sort(by_speed.begin(), by_speed.end());
  std::vector<std::size_t> likely;
  for (const auto& [_, device] : by_speed) {
    if (likely.size() < kLikelyMasters / 2) likely.push_back(device);
  }
  std::stable_sort(all.begin(), all.end(), [&](std::size_t a, std::size_t b) {
    return cluster_.devices[a].memory > cluster_.devices[b].memory;
  });
  for (const std::size_t device : all) {
    const bool known = std::find(likely.begin(), likely.end(), device) != likely.end();
    if (likely.size() < kLikelyMasters && !known) likely.push_back(device);
  }
  return likely;
}

std::optional<Plan> LayoutPlanner::best(const LayoutWishes& wishes) const {
  std::optional<Cut> best;
  std::vector<std::size_t> best_members;
  Head best_head = Head::master;
  for (const Head head : {Head::master, Head::last_worker}) {
    for (const std::size_t master : masters(wishes)) {
      std::vector<std::size_t> members;
      const auto chain = chain_for(master, head, wishes, members);
      if (!chain) continue;
      const auto cut = cheapest_cut(*chain, best ? std::optional<double>(best->cost) : std::nullopt);
      const double margin = best ? 1e-9 * best->cost : 0;
      const bool cheaper = cut && (!best || cut->cost < best->cost - margin);
      const bool as_cheap = cut && best && cut->cost <= best->cost + margin;
      if (!cheaper && !(as_cheap && cut->segments.size() < best->segments.size())) continue;
      best = cut;
      best_members = members;
      best_head = cut->segments.size() > 1 ? head : Head::master;
    }
  }
  if (!best) return std::nullopt;
  return make_plan(best_members, *best, best_head);
}

int LayoutPlanner::most_layers(const LayoutWishes& wishes) const {
  int most = 0;
  for (const std::size_t master : masters(wishes)) {
    std::vector<std::size_t> members;
    const auto chain = chain_for(master, Head::master, wishes, members);
    if (chain) most = std::max(most, plan::most_layers(*chain));
  }
  return most;
}

Plan LayoutPlanner::make_plan(const std::vector<std::size_t>& members, const Cut& cut, Head head) const {
  Plan plan;
  plan.context = usage_.context;
  plan.parallel = usage_.parallel;
  plan.kv = usage_.kv;
  plan.head = head;
  plan.micro_batch = micro_batch(head, cut.segments.size());
  std::vector<std::size_t> devices;
  std::vector<int> counts;
  int first = 0;
  for (const Segment& segment : cut.segments) {
    const DeviceProfile& device = cluster_.devices[members[segment.carrier]];
    const bool is_master = plan.shares.empty();
    const bool is_last = plan.shares.size() + 1 == cut.segments.size();
    const bool has_head = is_master ? head == Head::master : head == Head::last_worker && is_last;
    Share share;
    share.device = device.name;
    share.rank = static_cast<int>(plan.shares.size());
    share.first_layer = first;
    share.layer_count = segment.count;
    share.threads = device.threads;
    share.budget = device.memory;
    share.overhead = process_overhead(work_, is_master, has_head);
    if (is_master) share.weights += work_.on_master;
    if (has_head) share.weights += is_master ? work_.head_on_master : work_.head.weights;
    for (int l = first; l < first + segment.count; ++l) {
      share.weights += work_.layers[static_cast<std::size_t>(l)].weights;
      share.kv_cache += work_.layers[static_cast<std::size_t>(l)].kv;
    }
    first += segment.count;
    devices.push_back(members[segment.carrier]);
    counts.push_back(segment.count);
    plan.shares.push_back(std::move(share));
  }
  plan.predicted = predict(devices, counts, head);
  return plan;
}

Prediction LayoutPlanner::predict(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                                  Head head) const {
  Prediction predicted;
  const int micro = micro_batch(head, devices.size());
  double step = 0;
  double batch_sum = 0;
  double batch_slowest = 0;
  std::size_t layer = 0;
  for (std::size_t k = 0; k < devices.size(); ++k) {
    const DeviceProfile& device = cluster_.devices[devices[k]];
    const bool is_last = k + 1 == devices.size();
    const bool has_head = k == 0 ? head == Head::master : head == Head::last_worker && is_last;
    const WeightLayout layout = layout_of(k == 0);
    double stage = 0;
    Bytes weights;
    for (int n = 0; n < counts[k]; ++n, ++layer) {
      step += costs_[devices[k]].decode[index_of(layout)][kind_of_layer_[layer]];
      stage += prefill_seconds(device, work_.layers[layer], layout, micro);
      weights += work_.layers[layer].weights;
    }
    if (has_head) step += costs_[devices[k]].head_decode[index_of(layout)];
    if (has_head) predicted.first_token += costs_[devices[k]].head_prefill[index_of(layout)];
    if (k > 0) {
      const double result = has_head ? work_.vocabulary : work_.width;
      step += hop(devices[0], devices[k], result, usage_.parallel);
      stage += hop(devices[0], devices[k], has_head ? 0 : work_.width, micro);
      if (has_head) weights += work_.head.weights;
      predicted.load += send_seconds(*cluster_.link(cluster_.devices[devices[0]], device), weights);
    } else {
      predicted.load += read_seconds(device, work_.weights);
    }
    batch_sum += stage;
    batch_slowest = std::max(batch_slowest, stage);
  }
  // With a tensor override (head on the master) micro-batches go one after the other; without they overlap.
  const double n_batches = static_cast<double>(kReferencePrompt) / micro;
  const bool overlaps = head == Head::last_worker && devices.size() > 1;
  const double prompt = overlaps ? batch_sum + (n_batches - 1) * batch_slowest : n_batches * batch_sum;
  predicted.first_token += prompt;
  predicted.prefill = kReferencePrompt / prompt;
  predicted.decode = usage_.parallel / step;
  return predicted;
}

}  // namespace caravan::plan
