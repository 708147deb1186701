#include "plan/layout.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "plan/cost.h"

namespace caravan::plan {
namespace {

constexpr std::size_t kManyDevices = 16;  ///< beyond, only the likeliest masters are tried
constexpr std::size_t kLikelyMasters = 8;

constexpr std::size_t kWorthPairs = 64;  ///< with more devices not each of their links is looked at
constexpr double kWorthMoreThreads = 0.97;

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
  }
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

ProcessRole LayoutPlanner::role(DataPath path, bool is_master, bool has_head) const {
  return {.data_path = path, .is_master = is_master, .has_head = has_head};
}

std::uint64_t LayoutPlanner::room(std::size_t device, const ProcessRole& role,
                                  const LayoutWishes& wishes) const {
  Bytes taken = process_overhead(work_, role) + wishes.keep_free;
  if (role.is_master) taken += work_.on_master;
  if (role.is_master && role.has_head) taken += work_.head_on_master;
  const Bytes memory = cluster_.devices[device].memory;
  return memory.count > taken.count ? memory.count - taken.count : 0;
}

/// What a prompt's micro-batch of the usual size, or its first small one, counts beside one token.
double LayoutPlanner::prompt_share(const LayoutWishes& wishes) const {
  return wishes.prompt_weight * usage_.parallel / kUsualMicroBatch;
}

/// All layers on one device, which needs no data path.
std::optional<LayoutPlanner::Candidate> LayoutPlanner::alone(std::size_t master,
                                                             const LayoutWishes& wishes) const {
  for (std::size_t device = 0; device < cluster_.devices.size(); ++device) {
    if (device != master && is_required(wishes, device)) return std::nullopt;
  }
  Candidate candidate;
  candidate.members = {master};
  candidate.chain.carriers.push_back(rpc_carrier(master, master, Head::master, wishes));
  return candidate;
}

Carrier LayoutPlanner::rpc_carrier(std::size_t master, std::size_t device, Head head,
                                   const LayoutWishes& wishes) const {
  const bool is_master = device == master;
  // Of the workers' places in the network only the master's matters: stock RPC relays everything through it.
  const DeviceCosts& own = costs(device, is_master ? WeightLayout::repacked : WeightLayout::plain);
  const double share = prompt_share(wishes);
  Carrier carrier;
  carrier.cost.reserve(kind_of_layer_.size());
  for (const std::size_t kind : kind_of_layer_)
    carrier.cost.push_back(own.decode[kind] + share * own.prefill[kind]);
  const bool has_head = is_master == (head == Head::master);
  carrier.room = room(device, role(DataPath::rpc, is_master, has_head), wishes);
  carrier.required = !is_master && is_required(wishes, device);
  if (!is_master) {
    carrier.entry = hop(master, device, work_.width, usage_.parallel) +
                    share * hop(master, device, work_.width, kUsualMicroBatch);
  }
  if (head == Head::master && is_master) carrier.entry += own.head_decode;
  if (head == Head::master) return carrier;
  carrier.tail_cost = own.head_decode;
  carrier.tail_size = is_master ? work_.head_on_master.count : work_.head.weights.count;
  if (!is_master) {
    carrier.tail_cost += hop(master, device, work_.vocabulary, usage_.parallel) -
                         hop(master, device, work_.width, usage_.parallel);
  }
  return carrier;
}

/// Never all layers on the master: that is `alone`.
Carrier LayoutPlanner::fabric_carrier(std::size_t master, std::size_t device, Head head,
                                      const LayoutWishes& wishes) const {
  const bool is_master = device == master;
  const DeviceCosts& own = costs(device, WeightLayout::repacked);
  const double share = prompt_share(wishes);
  Carrier carrier;
  carrier.cost.reserve(kind_of_layer_.size());
  carrier.load.reserve(kind_of_layer_.size());
  for (const std::size_t kind : kind_of_layer_) {
    carrier.cost.push_back(own.decode[kind] + share * own.small_prefill[kind]);
    carrier.load.push_back(own.small_prefill[kind]);
  }
  const bool has_head = is_master == (head == Head::master);
  carrier.room = room(device, role(DataPath::fabric, is_master, has_head), wishes);
  carrier.required = !is_master && is_required(wishes, device);
  if (is_master) {
    carrier.tail_size = std::numeric_limits<std::uint64_t>::max();
    if (head == Head::master)
      carrier.entry = own.head_decode + sampling_seconds(work_.vocabulary, usage_.parallel);
    return carrier;
  }
  const Link back = *link(master, device);
  const double floats = head == Head::master ? work_.width : 1;
  carrier.tail_cost =
      hand_on_seconds(back, floats, usage_.parallel) + share * hand_on_seconds(back, floats, 1);
  if (head == Head::master) return carrier;
  carrier.tail_cost += own.head_decode;
  carrier.tail_size = work_.head.weights.count;
  return carrier;
}

void LayoutPlanner::add_hand_ons(Candidate& candidate, double prompt_share) const {
  const auto& members = candidate.members;
  const std::size_t master = members.front();
  if (links_.empty()) {
    for (std::size_t i = 1; i < members.size(); ++i)
      candidate.chain.carriers[i].entry = hand_on(master, master, members[i], prompt_share).cost;
    return;
  }
  for (const std::size_t from : members) {
    auto& row = candidate.chain.hand_on.emplace_back();
    row.reserve(members.size());
    for (const std::size_t to : members)
      row.push_back(to == master || to == from ? HandOn{} : hand_on(master, from, to, prompt_share));
  }
}

/// The master and all that it can reach; nothing when the device cannot be a master, or not of all that are
/// required.
std::optional<LayoutPlanner::Candidate> LayoutPlanner::together(std::size_t master, Head head,
                                                                const LayoutWishes& wishes) const {
  Candidate candidate;
  candidate.path = usage_.data_path;
  const bool is_fabric = candidate.path == DataPath::fabric;
  const auto add = [&](std::size_t device) {
    candidate.members.push_back(device);
    candidate.chain.carriers.push_back(is_fabric ? fabric_carrier(master, device, head, wishes)
                                                 : rpc_carrier(master, device, head, wishes));
  };
  add(master);
  // A master that cannot hold what only a master holds.
  ProcessRole without_layers = role(candidate.path, true, head == Head::master);
  without_layers.has_layers = false;
  const Bytes least = process_overhead(work_, without_layers) + wishes.keep_free + work_.on_master +
                      (head == Head::master ? work_.head_on_master : Bytes{});
  if (cluster_.devices[master].memory < least) return std::nullopt;
  for (std::size_t device = 0; device < cluster_.devices.size(); ++device) {
    const bool reachable = device != master && link(master, device);
    if (reachable && is_allowed(wishes, device)) {
      add(device);
    } else if (device != master && is_required(wishes, device)) {
      return std::nullopt;
    }
  }
  if (!is_fabric) return candidate;
  if (candidate.members.size() < 2) return std::nullopt;
  const double share = prompt_share(wishes);
  add_hand_ons(candidate, share);
  candidate.chain.slowest = share * (kUsualMicroBatch / kOverlappingMicroBatch - 1);
  return candidate;
}

std::vector<LayoutPlanner::Candidate> LayoutPlanner::candidates(Head head, const LayoutWishes& wishes) const {
  std::vector<Candidate> all;
  const auto take = [&](std::optional<Candidate> candidate) {
    if (!candidate) return;
    candidate->chain.sizes.reserve(work_.layers.size());
    for (const Part& layer : work_.layers) candidate->chain.sizes.push_back((layer.weights + layer.kv).count);
    all.push_back(std::move(*candidate));
  };
  for (const std::size_t master : masters(wishes)) {
    if (usage_.data_path == DataPath::fabric && head == Head::master) take(alone(master, wishes));
    take(together(master, head, wishes));
  }
  return all;
}

std::vector<std::size_t> LayoutPlanner::masters(const LayoutWishes& wishes) const {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < cluster_.devices.size(); ++i) {
    if (is_allowed(wishes, i) && (wishes.masters.empty() || wishes.masters[i])) all.push_back(i);
  }
  if (all.size() <= kManyDevices) return all;
  const auto seconds = [&](std::size_t device) {
    const auto& decode = repacked_[device].decode;
    double sum = repacked_[device].head_decode;
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
  Candidate best_candidate;
  Head best_head = Head::master;
  for (const Head head : {Head::master, Head::last_worker}) {
    for (Candidate& candidate : candidates(head, wishes)) {
      const auto cut = cheapest_cut(candidate.chain, best ? std::optional<double>(best->cost) : std::nullopt);
      const double margin = best ? 1e-9 * best->cost : 0;
      const bool cheaper = cut && (!best || cut->cost < best->cost - margin);
      const bool as_cheap = cut && best && cut->cost <= best->cost + margin;
      if (!cheaper && !(as_cheap && cut->segments.size() < best->segments.size())) continue;
      best = cut;
      best_candidate = std::move(candidate);
      best_head = cut->segments.size() > 1 ? head : Head::master;
    }
  }
  if (!best) return std::nullopt;
  return make_plan(best_candidate, *best, best_head);
}

int LayoutPlanner::most_layers(const LayoutWishes& wishes) const {
  int most = 0;
  for (const Candidate& candidate : candidates(Head::master, wishes))
    most = std::max(most, plan::most_layers(candidate.chain));
  return most;
}

Plan LayoutPlanner::make_plan(const Candidate& candidate, const Cut& cut, Head head) const {
  const DataPath path = candidate.path;
  Plan plan;
  plan.context = usage_.context;
  plan.parallel = usage_.parallel;
  plan.kv = usage_.kv;
  plan.data_path = path;
  plan.head = head;
  plan.micro_batch = micro_batch(path, head, cut.segments.size());
  std::vector<std::size_t> devices;
  std::vector<int> counts;
  int first = 0;
  for (const Segment& segment : cut.segments) {
    const std::size_t index = candidate.members[segment.carrier];
    const DeviceProfile& device = cluster_.devices[index];
    const bool is_master = plan.shares.empty();
    const bool is_last = plan.shares.size() + 1 == cut.segments.size();
    const bool has_head = is_master ? head == Head::master : head == Head::last_worker && is_last;
    const bool repacks = is_master || path == DataPath::fabric;
    ProcessRole its = role(path, is_master, has_head);
    its.has_layers = segment.count > 0;
    Share share;
    share.device = device.name;
    share.rank = static_cast<int>(plan.shares.size());
    share.first_layer = first;
    share.layer_count = segment.count;
    share.threads = costs(index, repacks ? WeightLayout::repacked : WeightLayout::plain).speed->threads;
    share.budget = device.memory;
    share.overhead = process_overhead(work_, its);
    if (is_master) share.weights += work_.on_master;
    if (has_head) share.weights += is_master ? work_.head_on_master : work_.head.weights;
    for (int l = first; l < first + segment.count; ++l) {
      share.weights += work_.layers[static_cast<std::size_t>(l)].weights;
      share.kv_cache += work_.layers[static_cast<std::size_t>(l)].kv;
    }
    first += segment.count;
    devices.push_back(index);
    counts.push_back(segment.count);
    plan.shares.push_back(std::move(share));
  }
  plan.predicted = predict(devices, counts, head);
  return plan;
}

Prediction LayoutPlanner::predict(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                                  Head head) const {
  const bool is_fabric = usage_.data_path == DataPath::fabric && devices.size() > 1;
  return is_fabric ? predict_fabric(devices, counts, head) : predict_rpc(devices, counts, head);
}

}  // namespace caravan::plan
