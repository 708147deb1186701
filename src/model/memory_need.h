// How much memory a device needs for its part of a model: weights, KV cache and recurrent state, compute
// buffers. Pure. What the engine allocates itself (llama.cpp v0.5.0); formulas, sources and how they were
// held against the engine are in docs/model-facts.md. Not in it: the program itself, and what it allocates
// while it computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/units.h"
#include "model/gguf.h"

namespace caravan::model {

/// As what keys or values are kept; all that llama-server takes.
enum class KvType { f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl };

std::string_view name_of(KvType type);
std::optional<KvType> kv_type_from_name(std::string_view name);
/// Of `width` values.
Bytes kv_bytes(KvType type, std::uint64_t width);

/// A contiguous part of a model, and how it is run.
struct MemoryQuestion {
  std::size_t first_layer = 0;
  std::size_t layer_count = 0;
  bool is_master = true;  ///< runs llama-server and holds the embedding
  bool has_head = true;

  std::uint64_t context = 2048;  ///< tokens for each sequence
  std::uint64_t parallel = 1;    ///< sequences at once
  bool unified = false;          ///< one pool of context for all sequences (--kv-unified)
  std::uint64_t ubatch = 512;
  KvType key_type = KvType::f16;
  KvType value_type = KvType::f16;
  bool flash_attention = true;
  /// Prefill overlaps between the workers: the engine does this when all layers and the head are on two or
  /// more of them and no tensor is overridden. Four times the inputs.
  bool pipelined = false;

  /// All of `model` on one device.
  static MemoryQuestion whole(const ModelFacts& model);
};

struct Memory {
  Bytes weights;
  Bytes kv;       ///< cache and recurrent state; exact
  Bytes compute;  ///< compute and output buffers; an estimate from above

  Bytes total() const { return weights + kv + compute; }
};

/// Numbers beyond any use (a context above 2^24 tokens ...) are taken as the largest that make sense. Without
/// layer_facts, kv is zero and compute knows the width only. Layers that the model does not have are ignored.
Memory memory_need(const ModelFacts& model, const MemoryQuestion& question);

}  // namespace caravan::model
