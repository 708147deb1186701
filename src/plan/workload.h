// What a model asks of a device, part by part: what has to be in memory, what a token reads, what it
// computes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "model/gguf.h"
#include "model/memory_need.h"
#include "plan/data_path.h"

namespace caravan::plan {

/// Weights of one type that take part in a token.
struct TypedWeights {
  std::string type;       ///< ggml's name, lower case
  double bytes = 0;       ///< read for a token (of experts only those used)
  double multiplies = 0;  ///< multiply-adds for a token
};

/// One layer, or the output head.
struct Part {
  Bytes weights;  ///< in memory
  Bytes kv;       ///< KV cache and recurrent state, for the whole context and all sequences
  std::vector<TypedWeights> active;
  double attention = 0;  ///< multiply-adds of one token with keys and values, at the depth planned for
  double elements = 0;   ///< numbers that the operations between the matrices write for one token
  int nodes = 0;         ///< operations in its graph
};

/// Tokens of a prompt that are computed at once: usually, and where stages overlap.
inline constexpr int kUsualMicroBatch = 512;
inline constexpr int kOverlappingMicroBatch = 64;

/// What the person wants to be able to do at once.
struct Usage {
  int context = 4096;  ///< tokens for each sequence
  int parallel = 1;    ///< sequences at once
  model::KvType kv = model::KvType::f16;
  int depth = 512;                     ///< tokens of context at which speeds are predicted
  DataPath data_path = DataPath::rpc;  ///< between devices
  bool guesses = false;                ///< keep room for the logits of tokens that are guessed ahead
};

struct Plan;
/// As `plan` is used: what its memory and speeds are worked out with.
Usage usage_of(const Plan& plan);

struct Workload {
  std::string model;
  std::vector<Part> layers;
  Part head;
  Bytes on_master;         ///< besides layers and head: embeddings, norms
  Bytes head_on_master;    ///< what the head adds there: nothing when it is the embedding
  double width = 0;        ///< floats that go from layer to layer for a token
  double vocabulary = 0;   ///< floats that come out of the head
  Bytes weights;           ///< all
  Bytes guesses;           ///< where the head is: logits of as many guessed tokens as are worth it at least
  int kv_heads = 0;        ///< least of any layer with attention; 0: not known
  bool recurrent = false;  ///< has layers whose state cannot be taken back by some tokens
  /// Compute buffers of a process with all layers, by whether it has the head: an upper bound for one with
  /// some of them.
  struct Compute {
    Bytes with_head;
    Bytes without;
  };
  Compute compute;        ///< with the usual micro-batch
  Compute small_compute;  ///< with one that overlaps
};

Workload workload_of(const model::ModelFacts& model, const Usage& usage);

}  // namespace caravan::plan
