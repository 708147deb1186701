// The chains that LayoutPlanner solves: which devices could stand behind which master, and what each of them
// would cost there.
#include <algorithm>
#include <limits>

#include "plan/layout.h"

namespace caravan::plan {
namespace {

constexpr std::size_t kManyDevices = 16;  ///< beyond, only the likeliest masters are tried
constexpr std::size_t kLikelyMasters = 8;
constexpr std::size_t kFewMasters = 2;

bool is_allowed(const LayoutWishes& wishes, std::size_t device) {
  return wishes.allowed.empty() || wishes.allowed[device];
}
bool is_required(const LayoutWishes& wishes, std::size_t device) {
  return !wishes.required.empty() && wishes.required[device];
}

}  // namespace

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
  if (is_master) carrier.entry += sampling_seconds(work_.vocabulary, usage_.parallel);
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
  constexpr int kMicroBatches = kUsualMicroBatch / kOverlappingMicroBatch;
  candidate.chain.slowest = share * (kMicroBatches - 1);
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
  const bool apart = usage_.data_path == DataPath::fabric || wishes.alone_if_possible;
  const auto able = masters(wishes);
  for (const std::size_t master : able) {
    if (apart && head == Head::master) take(alone(master, wishes));
  }
  const auto fits = [](const Candidate& candidate) { return cheapest_cut(candidate.chain).has_value(); };
  if (wishes.alone_if_possible && std::any_of(all.begin(), all.end(), fits)) return all;
  for (const std::size_t master : able) take(together(master, head, wishes));
  return all;
}

std::vector<std::size_t> LayoutPlanner::masters(const LayoutWishes& wishes) const {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < cluster_.devices.size(); ++i) {
    if (is_allowed(wishes, i) && (wishes.masters.empty() || wishes.masters[i])) all.push_back(i);
  }
  const std::size_t most = wishes.few_masters ? kFewMasters : kLikelyMasters;
  if (all.size() <= (wishes.few_masters ? kFewMasters : kManyDevices)) return all;
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
    if (likely.size() < most / 2) likely.push_back(device);
  }
  std::stable_sort(all.begin(), all.end(), [&](std::size_t a, std::size_t b) {
    return cluster_.devices[a].memory > cluster_.devices[b].memory;
  });
  for (const std::size_t device : all) {
    const bool known = std::find(likely.begin(), likely.end(), device) != likely.end();
    if (likely.size() < most && !known) likely.push_back(device);
  }
  return likely;
}

}  // namespace caravan::plan
