#include "plan/cost.h"

#include <algorithm>

namespace caravan::plan {
namespace {

/// A worker's step with stock RPC, as it was measured against the round trip of ping (docs/planner.md): two
/// of them, since each message is written in three pieces, and handling on both ends.
constexpr double kRoundTripsAStep = 2;
constexpr double kStepOverhead = 0.001;
constexpr double kBytesOfFloat = 4;
/// Weights go tensor by tensor, each waited for: less than a stream could carry.
constexpr double kLoadEfficiency = 0.85;
/// Bytes/s where nothing was measured: read, repacked and run once by llama-server, with one thread and a
/// file in the page cache 200 to 330 MB/s (docs/planner.md).
constexpr double kUsualDisk = 250e6;
constexpr double kLeastRate = 1.0;  ///< a rate of 0 in a devices file must not divide

/// What a process takes besides what memory_need counts: assumed with a margin, not measured
/// (docs/planner.md).
constexpr Bytes kMasterProcess = mebibytes(48);
constexpr Bytes kWorkerProcess = mebibytes(16);

double per(double amount, double rate) { return amount / std::max(rate, kLeastRate); }

/// Weights are read once for all `tokens`, until arithmetic takes longer.
double matrix_seconds(const DeviceProfile& device, const Part& part, WeightLayout layout, int tokens) {
  double seconds = 0;
  for (const TypedWeights& weights : part.active) {
    const KernelSpeed speed = speed_for(device, weights.type);
    const bool repacked = layout == WeightLayout::repacked;
    const double reading = per(weights.bytes, repacked ? speed.decode_repacked : speed.decode);
    const double computing =
        per(weights.multiplies * tokens, repacked ? speed.prefill_repacked : speed.prefill);
    seconds += tokens == 1 ? reading : std::max(reading, computing);
  }
  return seconds;
}

}  // namespace

double decode_seconds(const DeviceProfile& device, const Part& part, WeightLayout layout, int sequences) {
  return part.nodes * device.node_seconds + matrix_seconds(device, part, layout, sequences) +
         per(part.attention * sequences, device.attention) +
         per(part.elements * (sequences - 1), device.elements);
}

double prefill_seconds(const DeviceProfile& device, const Part& part, WeightLayout layout, int tokens) {
  // A prompt's tokens look back at half of it on average, which is what `attention` counts at its usual
  // depth.
  return part.nodes * device.node_seconds + matrix_seconds(device, part, layout, tokens) +
         per(part.attention / 2 * tokens, device.attention_prefill) +
         per(part.elements * tokens, device.elements);
}

double hop_seconds(const Link& link, double width, double result, int tokens) {
  const double bytes = (width + result) * kBytesOfFloat * tokens;
  return kRoundTripsAStep * link.round_trip + kStepOverhead + per(bytes, link.bandwidth);
}

double send_seconds(const Link& link, Bytes weights) {
  return per(static_cast<double>(weights.count), link.bandwidth * kLoadEfficiency);
}

double read_seconds(const DeviceProfile& device, Bytes weights) {
  return static_cast<double>(weights.count) / (device.disk > 0 ? device.disk : kUsualDisk);
}

Bytes process_overhead(const Workload& work, bool is_master, bool has_head) {
  return (is_master ? kMasterProcess : kWorkerProcess) +
         (has_head ? work.compute_with_head : work.compute_without);
}

}  // namespace caravan::plan
