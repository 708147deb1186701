#include "plan/plan.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace caravan::plan {
namespace {

Bytes minus(Bytes a, Bytes b) { return Bytes{a.count > b.count ? a.count - b.count : 0}; }

/// What has to be on the master whatever the split: embeddings, output head, norms.
Bytes master_weights(const model::ModelFacts& model) {
  return model.embedding + (model.tied_head ? Bytes{0} : model.head) + model.other;
}

/// One layer's weights and KV cache; the largest of all layers, so that any choice of whole layers fits.
Bytes layer_cost(const model::ModelFacts& model, const Limits& limits) {
  const auto tokens =
      static_cast<std::uint64_t>(limits.context) * static_cast<std::uint64_t>(limits.parallel);
  Bytes largest;
  for (std::size_t i = 0; i < model.n_layers(); ++i) {
    const std::uint64_t kv = model.kv_per_token.empty() ? 0 : model.kv_per_token.at(i).count * tokens;
    largest = std::max(largest, model.layers[i] + Bytes{kv});
  }
  return largest;
}

/// Space for layers on each device, the master's place first.
struct Room {
  std::vector<Bytes> bytes;
  std::vector<int> layers;
};

Room room_for_layers(const std::vector<DeviceOffer>& devices, Bytes on_master, Bytes layer) {
  Room room;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const Bytes fixed = i == 0 ? kMasterOverhead + on_master : kWorkerOverhead;
    room.bytes.push_back(minus(devices[i].memory, fixed));
    room.layers.push_back(
        static_cast<int>(std::min<std::uint64_t>(room.bytes[i].count / layer.count, 1'000'000)));
  }
  return room;
}

/// Whole layers in proportion to room by largest remainder, ties to the earlier device; what a device cannot
/// hold goes to those that still have room. The caller has checked that all fit together.
std::vector<int> proportional_counts(const Room& room, int n_layers) {
  std::vector<int> counts(room.bytes.size(), 0);
  const double total = std::accumulate(room.bytes.begin(), room.bytes.end(), 0.0, [](double sum, Bytes b) {
    return sum + static_cast<double>(b.count);
  });
  std::vector<std::pair<double, std::size_t>> remainders;
  int given = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double share = static_cast<double>(room.bytes[i].count) / total * n_layers;
    counts[i] = std::min(static_cast<int>(share), room.layers[i]);
    given += counts[i];
    remainders.emplace_back(static_cast<int>(share) - share, i);
  }
  std::sort(remainders.begin(), remainders.end());
  while (given < n_layers) {
    for (const auto& [negative_remainder, i] : remainders) {
      if (given == n_layers || counts[i] >= room.layers[i]) continue;
      ++counts[i];
      ++given;
    }
  }
  return counts;
}

Error does_not_fit(const model::ModelFacts& model, const std::vector<DeviceOffer>& devices, Bytes on_master,
                   Bytes layer, const Room& room, const Limits& limits) {
  const Bytes layers{layer.count * model.n_layers()};
  Bytes offered;
  for (const DeviceOffer& device : devices) offered += device.memory;
  const Bytes overhead{kMasterOverhead.count + kWorkerOverhead.count * (devices.size() - 1)};
  const Bytes needed = on_master + layers + overhead;
  if (minus(devices.front().memory, kMasterOverhead + on_master).count == 0) {
    return Error{Code::exhausted,
                 fmt::format("{} needs {} on the master for embeddings and output alone, {} offers {}",
                             model.name, format_bytes(kMasterOverhead + on_master), devices.front().name,
                             format_bytes(devices.front().memory)),
                 "give one device more memory, or choose a smaller model"};
  }
  const int n_room = std::accumulate(room.layers.begin(), room.layers.end(), 0);
  return Error{
      Code::exhausted,
      fmt::format("{} needs {} with {} tokens of context, {} device{} offer {}: {} of {} layers do not fit",
                  model.name, format_bytes(needed), limits.context, devices.size(),
                  devices.size() == 1 ? "" : "s", format_bytes(offered),
                  static_cast<int>(model.n_layers()) - n_room, model.n_layers()),
      fmt::format("{} more would do; or choose a smaller model or context, or add a device",
                  format_bytes(Bytes{layer.count * (model.n_layers() - static_cast<std::size_t>(n_room))}))};
}

Share make_share(const model::ModelFacts& model, const DeviceOffer& device, int rank, int first, int count,
                 const Limits& limits) {
  Share share;
  share.device = device.name;
  share.rank = rank;
  share.first_layer = first;
  share.layer_count = count;
  share.budget = device.memory;
  share.overhead = rank == 0 ? kMasterOverhead : kWorkerOverhead;
  if (rank == 0) share.weights = master_weights(model);
  const auto tokens =
      static_cast<std::uint64_t>(limits.context) * static_cast<std::uint64_t>(limits.parallel);
  for (int i = first; i < first + count; ++i) {
    const auto layer = static_cast<std::size_t>(i);
    share.weights += model.layers[layer];
    if (!model.kv_per_token.empty()) share.kv_cache += Bytes{model.kv_per_token.at(layer).count * tokens};
  }
  share.reason = rank == 0 ? "most memory: runs llama-server, holds embeddings and output"
                           : "layers in proportion to its memory";
  return share;
}

Result<void> check_input(const model::ModelFacts& model, const std::vector<DeviceOffer>& devices,
                         const Limits& limits) {
  if (devices.empty()) return Error{Code::invalid, "no device to plan for", "add at least one device"};
  if (limits.context < 1 || limits.parallel < 1) {
    return Error{Code::invalid, "context and parallel must be at least 1", ""};
  }
  const bool has_layers = model.n_layers() > 0 && layer_cost(model, limits).count > 0;
  if (!has_layers || (!model.kv_per_token.empty() && model.kv_per_token.size() != model.n_layers())) {
    return Error{Code::invalid, fmt::format("{} has no layers that could be planned", model.name),
                 "is it a language model?"};
  }
  return {};
}

}  // namespace

std::size_t choose_master(const std::vector<DeviceOffer>& devices) {
  const auto most =
      std::max_element(devices.begin(), devices.end(),
                       [](const DeviceOffer& a, const DeviceOffer& b) { return a.memory < b.memory; });
  return static_cast<std::size_t>(most - devices.begin());
}

Result<Plan> plan_by_memory(const model::ModelFacts& model, const std::vector<DeviceOffer>& devices,
                            const Limits& limits) {
  if (auto usable = check_input(model, devices, limits); !usable) return usable.error();
  std::vector<DeviceOffer> ordered = devices;
  const auto master = ordered.begin() + static_cast<std::ptrdiff_t>(choose_master(ordered));
  std::rotate(ordered.begin(), master, master + 1);

  const Bytes on_master = master_weights(model);
  const Bytes layer = layer_cost(model, limits);
  const auto n_layers = static_cast<int>(model.n_layers());
  const Room room = room_for_layers(ordered, on_master, layer);
  const bool head_fits = kMasterOverhead + on_master <= ordered.front().memory;
  if (!head_fits || std::accumulate(room.layers.begin(), room.layers.end(), std::int64_t{0}) < n_layers) {
    return does_not_fit(model, ordered, on_master, layer, room, limits);
  }

  Plan plan;
  plan.context = limits.context;
  plan.parallel = limits.parallel;
  plan.fits_on_master = room.layers.front() >= n_layers;
  const std::vector<int> counts = proportional_counts(room, n_layers);
  int first = 0;
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    if (i > 0 && counts[i] == 0) {
      plan.left_out.push_back(
          {ordered[i].name, fmt::format("{} leave no room for a layer of {}", format_bytes(ordered[i].memory),
                                        format_bytes(layer))});
      continue;
    }
    plan.shares.push_back(
        make_share(model, ordered[i], static_cast<int>(plan.shares.size()), first, counts[i], limits));
    first += counts[i];
  }
  return plan;
}

}  // namespace caravan::plan
