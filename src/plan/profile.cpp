#include "plan/profile.h"

#include <algorithm>

#include <fmt/format.h>

#include "model/catalogue.h"

namespace caravan::plan {
namespace {

/// Keeps the rate of the largest batch that was measured: what a micro-batch of a prompt comes close to.
struct BestColumns {
  int columns = 0;
  void take(const Measurement& measurement, double rate, double& into) {
    if (measurement.columns < columns) return;
    columns = measurement.columns;
    into = rate;
  }
};

double granted_to_one(const device::Speed& speed) {
  return speed.cpu_quota ? std::min(1.0, *speed.cpu_quota) : 1.0;
}

/// One thread loads, however many compute. Without a special layout all types take the same, since they are
/// copied: the mean is kept.
void take_stored(const device::Speed& speed, DeviceSpeed& profile) {
  double plain_seconds = 0;
  int plain_count = 0;
  for (const Measurement& measurement : speed.measurements) {
    if (measurement.quantity != Quantity::store) continue;
    const double rate = measurement.rate * granted_to_one(speed);
    if (measurement.plain()) {
      plain_seconds += 1 / rate;
      ++plain_count;
    } else {
      profile.kernels[model::lower_case(measurement.type)].store_repacked = rate;
    }
  }
  if (plain_count > 0) profile.store = plain_count / plain_seconds;
}

Result<DeviceSpeed> speed_at(const device::Speed& speed, int threads) {
  DeviceSpeed profile;
  profile.threads = threads;
  std::map<std::pair<std::string, bool>, BestColumns> prefill;
  BestColumns attention;
  BestColumns elements;
  // One thread is timed by the processor time that it got; several by the clock, which has the quota in it.
  const double granted = threads == 1 ? granted_to_one(speed) : 1.0;
  take_stored(speed, profile);
  for (const Measurement& measurement : speed.measurements) {
    if (measurement.threads != threads || measurement.quantity == Quantity::store) continue;
    const double rate = measurement.rate * granted;
    const bool plain = measurement.plain();
    const std::string type = model::lower_case(measurement.type);
    if (measurement.quantity == Quantity::decode && measurement.columns == 1) {
      KernelSpeed& kernel = profile.kernels[type];
      (plain ? kernel.decode : kernel.decode_repacked) = rate;
    } else if (measurement.quantity == Quantity::prefill) {
      KernelSpeed& kernel = profile.kernels[type];
      prefill[{type, plain}].take(measurement, rate, plain ? kernel.prefill : kernel.prefill_repacked);
    } else if (measurement.quantity == Quantity::attention && measurement.columns == 1) {
      profile.attention = rate;
    } else if (measurement.quantity == Quantity::attention) {
      attention.take(measurement, rate, profile.attention_prefill);
    } else if (measurement.quantity == Quantity::small_op) {
      profile.node_seconds = 1 / rate;
    } else if (measurement.quantity == Quantity::elements) {
      elements.take(measurement, rate, profile.elements);
    }
  }
  for (auto& [type, kernel] : profile.kernels) {
    if (kernel.decode_repacked <= 0) kernel.decode_repacked = kernel.decode;
    if (kernel.prefill_repacked <= 0) kernel.prefill_repacked = kernel.prefill;
  }
  std::erase_if(profile.kernels,
                [](const auto& entry) { return entry.second.decode <= 0 || entry.second.prefill <= 0; });
  if (profile.kernels.empty()) {
    return Error{Code::not_found, fmt::format("no speed was measured with {} threads", threads),
                 fmt::format("`caravan calibrate --threads {}` measures it", threads)};
  }
  return profile;
}

}  // namespace

Result<DeviceProfile> profile_from(std::string name, Bytes memory, const device::Speed& speed, int threads,
                                   bool only) {
  auto rates = speed_at(speed, threads);
  if (!rates) return rates.error();
  DeviceProfile profile;
  static_cast<DeviceSpeed&>(profile) = std::move(*rates);
  profile.name = std::move(name);
  profile.memory = memory;
  profile.is_measured = true;
  for (const int other : speed.threads) {
    if (only || other == threads) continue;
    if (auto more = speed_at(speed, other)) profile.with_other_threads.push_back(std::move(*more));
  }
  return profile;
}

}  // namespace caravan::plan
