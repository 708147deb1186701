// Who carries what: a plan made from a model's facts and the devices' memory, with the reason for each
// choice. Pure: no clock, no I/O, same input, same plan.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "model/gguf.h"
#include "model/memory_need.h"
#include "plan/data_path.h"
#include "plan/speculation.h"

namespace caravan::plan {

/// A device that may take part.
struct DeviceOffer {
  std::string name;
  Bytes memory;  ///< what it may use for the engine in all
};

struct Limits {
  int context = 2048;  ///< tokens for each sequence
  int parallel = 1;    ///< sequences at once
};

/// What one device carries. Ranks and layers are contiguous: rank 0 (the master) has the first layers.
struct Share {
  std::string device;
  int rank = 0;
  int first_layer = 0;
  int layer_count = 0;
  int threads = 0;  ///< of its engine program; 0: not planned
  Bytes weights;    ///< its layers, for the master also embeddings, output head and the rest
  Bytes kv_cache;   ///< of its layers, for the whole context
  Bytes overhead;   ///< the engine process and its compute buffers, estimated
  Bytes budget;
  std::string reason;
  double compute = 0;  ///< seconds a step of decode takes here, a worker's head included; 0: not predicted
  double hop = 0;      ///< seconds from the rank before to here, in such a step; 0: none, or not predicted

  Bytes total() const { return weights + kv_cache + overhead; }
};

struct LeftOut {
  std::string device;
  std::string reason;
};

/// Where the output head is: on the master, or on the last worker. That sends logits back with RPC; in the
/// fabric it samples too, and sends back a token.
enum class Head { master, last_worker };

/// What one replica is expected to do.
struct Prediction {
  double decode = 0;       ///< tokens/s, of all its sequences together
  double prefill = 0;      ///< tokens/s, of a prompt of kReferencePrompt tokens
  double first_token = 0;  ///< seconds from such a prompt to the first token
  double load = 0;         ///< seconds until it is ready, weights not in the page cache
  double load_again = 0;   ///< the same when every device has kept its weights; with RPC none does
  /// In the fabric, of a step of decode: seconds that all ways take without their handling (Link::handling).
  double air = 0;
};

struct Plan {
  std::vector<Share> shares;  ///< in order of rank; never empty
  std::vector<LeftOut> left_out;
  int context = 0;  ///< tokens for each sequence
  int parallel = 1;
  DataPath data_path = DataPath::rpc;  ///< between its devices; of one alone it says nothing
  Head head = Head::master;
  model::KvType kv = model::KvType::f16;
  int micro_batch = 0;   ///< tokens; 0: as the engine has it
  Prediction predicted;  ///< without anything that repeats
  Speculation speculation;
  /// True when the master alone could carry the whole model: splitting it only shows how, it does not help.
  bool fits_on_master = false;
};

inline constexpr int kReferencePrompt = 512;

/// Memory that an engine process takes besides weights and KV cache; see docs/planner.md for how it was
/// measured.
inline constexpr Bytes kMasterOverhead = mebibytes(96);
inline constexpr Bytes kWorkerOverhead = mebibytes(64);

/// The device that should be the master: the one with the most memory, the first of several.
std::size_t choose_master(const std::vector<DeviceOffer>& devices);

/// Layer counts in proportion to the memory that each device has left for layers, by largest remainder, never
/// more than it can hold. Embeddings and output head stay on the master (engine: 608 KB of logits a token
/// would cross otherwise). Code::exhausted, with what is missing, when the devices together cannot hold the
/// model.
Result<Plan> plan_by_memory(const model::ModelFacts& model, const std::vector<DeviceOffer>& devices,
                            const Limits& limits);

}  // namespace caravan::plan
