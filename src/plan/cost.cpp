#include "plan/cost.h"

#include <algorithm>

namespace caravan::plan {
namespace {

/// A worker's step with stock RPC, as it was measured against the round trip of ping (docs/planner.md): two
/// of them, since each message is written in three pieces, and handling on both ends.
constexpr double kRoundTripsAStep = 2;
constexpr double kStepOverhead = 0.001;
/// Assumed: candidates made and sorted on the master, for each entry of the vocabulary.
constexpr double kSamplingOfEntry = 7e-9;
/// Fits (docs/planner.md): what a start takes besides weights, as so many bytes stored, since both are the
/// processor's work; SHA-256 with one thread, as a part of storing (docs/decisions/0014).
constexpr double kStartAsStored = 1e9;
constexpr double kHashingOfStoring = 0.4;
/// The same where storing was not measured.
constexpr double kUsualStart = 0.4;
constexpr double kUsualHashing = 1.2e9;
constexpr double kBytesOfFloat = 4;
/// Weights go tensor by tensor: less than a stream could carry. RPC waits for each.
constexpr double kLoadEfficiency = 0.93;
constexpr double kRpcLoadEfficiency = 0.9;
/// Bytes/s where neither disk nor storing was measured: read, repacked and run once by llama-server.
constexpr double kUsualDisk = 250e6;
constexpr double kLeastRate = 1.0;  ///< a rate of 0 in a devices file must not divide

/// What a process takes besides what memory_need counts: assumed with a margin, not measured
/// (docs/planner.md).
constexpr Bytes kMasterProcess = mebibytes(48);
constexpr Bytes kWorkerProcess = mebibytes(16);
/// With its queue of commands (docs/fabric-worker.md).
constexpr Bytes kFabricWorkerProcess = mebibytes(16 + 32);

double per(double amount, double rate) { return amount / std::max(rate, kLeastRate); }

/// Weights are read once for all `tokens`, until arithmetic takes longer.
double matrix_seconds(const DeviceSpeed& device, const Part& part, WeightLayout layout, int tokens) {
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

double decode_seconds(const DeviceSpeed& device, const Part& part, WeightLayout layout, int sequences) {
  return part.nodes * device.node_seconds + matrix_seconds(device, part, layout, sequences) +
         per(part.attention * sequences, device.attention) +
         per(part.elements * (sequences - 1), device.elements);
}

double prefill_seconds(const DeviceSpeed& device, const Part& part, WeightLayout layout, int tokens) {
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

double hand_on_work(const Link& link, double floats, int tokens) {
  return link.handling + per(floats * kBytesOfFloat * tokens, link.bandwidth);
}

double hand_on_seconds(const Link& link, double floats, int tokens) {
  return link.round_trip / 2 + hand_on_work(link, floats, tokens);
}

double sampling_seconds(double vocabulary, int sequences) {
  return kSamplingOfEntry * vocabulary * sequences;
}

double send_seconds(const Link& link, Bytes weights, DataPath path) {
  const double efficiency = path == DataPath::rpc ? kRpcLoadEfficiency : kLoadEfficiency;
  return per(static_cast<double>(weights.count), link.bandwidth * efficiency);
}

double read_seconds(const DeviceProfile& device, Bytes weights) {
  const double usual = device.store > 0 ? device.store : kUsualDisk;
  return per(static_cast<double>(weights.count), device.disk > 0 ? device.disk : usual);
}

double store_seconds(const DeviceSpeed& device, const Part& part, WeightLayout layout) {
  if (device.store <= 0) return 0;  // reading counts it
  double seconds = 0;
  double active = 0;
  for (const TypedWeights& weights : part.active) {
    const double special = speed_for(device, weights.type).store_repacked;
    const bool repacks = layout == WeightLayout::repacked && special > 0;
    seconds += per(weights.bytes, repacks ? special : device.store);
    active += weights.bytes;
  }
  // Of experts all are stored.
  const auto all = static_cast<double>(part.weights.count);
  return active > 0 ? seconds * all / active : per(all, device.store);
}

double hash_seconds(const DeviceSpeed& device, Bytes weights) {
  const double rate = device.store > 0 ? device.store * kHashingOfStoring : kUsualHashing;
  return per(static_cast<double>(weights.count), rate);
}

double start_seconds(const DeviceSpeed& device) {
  return device.store > 0 ? per(kStartAsStored, device.store) : kUsualStart;
}

Bytes process_overhead(const Workload& work, const ProcessRole& role) {
  const bool is_rpc = role.data_path == DataPath::rpc;
  const Workload::Compute& sizes = is_rpc ? work.compute : work.small_compute;
  const Bytes head = sizes.with_head + work.guesses;
  const Bytes compute = role.has_head ? head : sizes.without;
  if (is_rpc) return (role.is_master ? kMasterProcess : kWorkerProcess) + compute;
  if (!role.is_master) return kFabricWorkerProcess + compute;
  // What its own layers need is in another process than what its head needs.
  const Bytes its_worker = role.has_layers ? kFabricWorkerProcess + sizes.without : Bytes{};
  return kMasterProcess + (role.has_head ? head : Bytes{}) + its_worker;
}

}  // namespace caravan::plan
