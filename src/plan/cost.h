// What a layout costs in seconds: one model for decode, prefill and load, for stock RPC and for the fabric as
// they were measured (docs/planner.md says where each term comes from). Pure.
#pragma once

#include "plan/cluster.h"
#include "plan/workload.h"

namespace caravan::plan {

/// Which layout of weights a process uses: its own CPU's repacked one, which the fabric's workers use too, or
/// the plain one of an RPC server.
enum class WeightLayout { repacked, plain };

/// One step of decode: a token for each of `sequences`. Weights are read once for all of them, until
/// arithmetic takes longer.
double decode_seconds(const DeviceSpeed& device, const Part& part, WeightLayout layout, int sequences);

/// `tokens` of a prompt in one micro-batch.
double prefill_seconds(const DeviceSpeed& device, const Part& part, WeightLayout layout, int tokens);

/// To a worker and back for one step or one micro-batch of `tokens`: activations go there, results come back
/// to the master, which sends them on (stock RPC). `result` is the number of floats that come back for each
/// token.
double hop_seconds(const Link& link, double width, double result, int tokens);

/// In the fabric from one device to the next, or from the last one back: one way, `floats` for each of
/// `tokens`. Of that the last two parts keep both ends busy, while the way itself does not.
double hand_on_seconds(const Link& link, double floats, int tokens);
double hand_on_work(const Link& link, double floats, int tokens);

/// On the master, for one token out of so many: part of what the head costs there. The last worker of the
/// fabric samples in its graph instead.
double sampling_seconds(double vocabulary, int sequences);

/// For weights that are sent to a worker over `link`.
double send_seconds(const Link& link, Bytes weights, DataPath path);
/// Read from a device's own disk, or from what the system keeps of it in memory; put into memory in a layout;
/// compared with what they should be (the fabric). One thread does it.
double read_seconds(const DeviceProfile& device, Bytes weights);
double store_seconds(const DeviceSpeed& device, const Part& part, WeightLayout layout);
double hash_seconds(const DeviceSpeed& device, Bytes weights);
/// Until the engine's programs run.
double start_seconds(const DeviceSpeed& device);

/// Besides weights and KV cache, in a device's processes of the engine: themselves and their compute buffers.
/// `has_layers` counts in the fabric only, where the master's own layers have a process of their own.
struct ProcessRole {
  DataPath data_path = DataPath::rpc;
  bool is_master = false;
  bool has_head = false;
  bool has_layers = true;
};
Bytes process_overhead(const Workload& work, const ProcessRole& role);

}  // namespace caravan::plan
