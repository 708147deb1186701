// What a layout costs in seconds: one model for decode, prefill and load, for stock RPC as it was measured
// (docs/planner.md says where each term comes from). Pure.
#pragma once

#include "plan/cluster.h"
#include "plan/workload.h"

namespace caravan::plan {

/// Which layout of weights a process uses: its own CPU's repacked one, or the plain one of an RPC server.
enum class WeightLayout { repacked, plain };

/// One step of decode: a token for each of `sequences`. Weights are read once for all of them, until
/// arithmetic takes longer.
double decode_seconds(const DeviceProfile& device, const Part& part, WeightLayout layout, int sequences);

/// `tokens` of a prompt in one micro-batch.
double prefill_seconds(const DeviceProfile& device, const Part& part, WeightLayout layout, int tokens);

/// To a worker and back for one step or one micro-batch of `tokens`: activations go there, results come back
/// to the master, which sends them on (stock RPC). `result` is the number of floats that come back for each
/// token.
double hop_seconds(const Link& link, double width, double result, int tokens);

/// For weights that are sent to a worker over `link`, or read from the master's own disk.
double send_seconds(const Link& link, Bytes weights);
double read_seconds(const DeviceProfile& device, Bytes weights);

/// Besides weights and KV cache, in a process of the engine: itself and its compute buffers.
Bytes process_overhead(const Workload& work, bool is_master, bool has_head);

}  // namespace caravan::plan
