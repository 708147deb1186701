// What is missing where a model does not fit, and what would fit instead.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "plan/explain.h"
#include "plan/layout.h"

namespace caravan::plan {
namespace {

/// Bits a weight of whole files, as llama.cpp's quantizer makes them for usual models (engine-facts).
struct Quantization {
  const char* name;
  double bits;
};
constexpr std::array<Quantization, 6> kQuantizations{
    {{"Q8_0", 8.5}, {"Q6_K", 6.6}, {"Q5_K_M", 5.7}, {"Q4_K_M", 4.85}, {"Q3_K_M", 3.9}, {"Q2_K", 3.2}}};

LayoutWishes everything_but(const Cluster& cluster, const Wishes& wishes, const Usage& usage) {
  LayoutWishes layout;
  layout.usage = usage;
  layout.keep_free = wishes.keep_free;
  for (const DeviceProfile& device : cluster.devices) {
    const auto is_in = [&](const std::vector<std::string>& list) {
      return std::find(list.begin(), list.end(), device.name) != list.end();
    };
    layout.allowed.push_back(!is_in(wishes.avoid));
    if (!wishes.masters.empty()) layout.masters.push_back(is_in(wishes.masters));
  }
  return layout;
}

/// Weights shrunk to another quantization; what it computes does not matter here.
Workload shrunk(Workload work, double factor) {
  const auto shrink = [&](Bytes& bytes) {
    bytes.count = static_cast<std::uint64_t>(static_cast<double>(bytes.count) * factor);
  };
  for (Part& layer : work.layers) shrink(layer.weights);
  shrink(work.head.weights);
  shrink(work.on_master);
  shrink(work.head_on_master);
  return work;
}

bool fits(const Workload& work, const Cluster& cluster, const Wishes& wishes, const Usage& usage) {
  return LayoutPlanner(work, cluster, usage).most_layers(everything_but(cluster, wishes, usage)) ==
         static_cast<int>(work.layers.size());
}

/// The largest quantization of the same model that would fit, smaller than the one at hand; empty when none
/// does.
std::string smaller_quantization(const Workload& work, double bits, const Cluster& cluster,
                                 const Wishes& wishes, const Usage& usage) {
  for (const Quantization& quantization : kQuantizations) {
    if (quantization.bits >= bits * 0.98) continue;
    if (fits(shrunk(work, quantization.bits / bits), cluster, wishes, usage)) return quantization.name;
  }
  return "";
}

/// The least memory, in whole MiB, that one more device has to have for it to fit; nothing up to `most`.
std::optional<Bytes> one_more_device(const Workload& work, const Cluster& cluster, const Wishes& wishes,
                                     const Usage& usage, Bytes most) {
  Cluster larger = cluster;
  DeviceProfile another = cluster.devices.front();
  another.name = "one more device";
  another.accepts = true;
  larger.devices.push_back(std::move(another));
  const auto fits_with = [&](std::uint64_t size) {
    larger.devices.back().memory = mebibytes(size);
    return fits(work, larger, wishes, usage);
  };
  std::uint64_t bad = 0;
  std::uint64_t good = most.count / mebibytes(1).count + 1;
  if (!fits_with(good)) return std::nullopt;
  while (bad + 1 < good) {
    const std::uint64_t middle = (bad + good) / 2;
    (fits_with(middle) ? good : bad) = middle;
  }
  return mebibytes(good);
}

int longest_context(const model::ModelFacts& model, const Cluster& cluster, const Wishes& wishes,
                    Usage usage) {
  const auto fits_at = [&](int context) {
    Usage shorter = usage;
    shorter.context = context;
    shorter.depth = std::min(shorter.depth, context);
    return fits(workload_of(model, shorter), cluster, wishes, shorter);
  };
  for (int context = usage.context / 2; context >= 256; context /= 2) {
    if (fits_at(context)) return context;
  }
  return 0;
}

}  // namespace

Error nothing_fits(const model::ModelFacts& model, const Cluster& cluster, const Wishes& wishes,
                   const std::vector<Usage>& tries) {
  Usage usage = tries.back();  // the least demanding
  usage.parallel = wishes.parallel.value_or(1);
  const Workload work = workload_of(model, usage);
  const LayoutPlanner planner(work, cluster, usage);
  const auto layout = everything_but(cluster, wishes, usage);
  const auto n_layers = work.layers.size();
  const auto placed = static_cast<std::size_t>(planner.most_layers(layout));
  if (placed == n_layers) {  // it would fit, but not with the devices that were required
    return Error{Code::exhausted,
                 fmt::format("{} does not fit with each of: {}", model.name, join(wishes.use, ", ")),
                 "let the planner choose: leave --use away"};
  }
  Bytes missing;
  for (std::size_t l = placed; l < n_layers; ++l) missing += work.layers[l].weights + work.layers[l].kv;
  const Bytes ample = missing + work.weights + wishes.keep_free + mebibytes(1024);
  const auto more = one_more_device(work, cluster, wishes, usage, ample);
  // Where nobody has room for what a master needs, no layer is placed, though there may be room for most.
  if (placed == 0 && more) missing = *more;
  Bytes offered;
  std::size_t offering = 0;
  for (std::size_t i = 0; i < cluster.devices.size(); ++i) {
    if (!layout.allowed[i]) continue;
    ++offering;
    offered.count +=
        cluster.devices[i].memory.count - std::min(cluster.devices[i].memory.count, wishes.keep_free.count);
  }
  const std::string cause = fmt::format(
      "{} does not fit: {} of {} layers find room at a context of {}, {} are missing ({} device{} {})",
      model.name, placed, n_layers, usage.context, format_bytes(missing), offering,
      offering == 1 ? " offers" : "s offer", format_bytes(offered));
  std::vector<std::string> cures;
  if (const int context = longest_context(model, cluster, wishes, usage); context > 0) {
    cures.push_back(fmt::format("a context of {} would fit", context));
  }
  const double bits = model.bits_per_weight();
  if (const auto smaller = smaller_quantization(work, bits, cluster, wishes, usage); !smaller.empty()) {
    cures.push_back(fmt::format("the same model as {} would fit", smaller));
  }
  if (more) cures.push_back(fmt::format("one more device with {} would do", format_bytes(*more)));
  return Error{Code::exhausted, cause, join(cures, "; or ")};
}

}  // namespace caravan::plan
