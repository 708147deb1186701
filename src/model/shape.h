// The shapes of published models: what must be known of one to plan with it although no file of it is at
// hand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace caravan::model {

/// As the model's own config.json says it; widths are numbers of values. Zero: it has no such thing.
struct ModelShape {
  std::string name;   ///< "qwen3-8b", as the catalogue would call it
  std::string title;  ///< "Qwen3 8B"
  std::string architecture;
  std::uint64_t published = 0;  ///< months since the year 0
  std::string licence;
  std::string source;  ///< whose config.json: "Qwen/Qwen3-8B"

  std::uint64_t layers = 0;
  std::uint64_t width = 0;
  std::uint64_t feed_forward = 0;
  std::uint64_t heads = 0;
  std::uint64_t kv_heads = 0;
  std::uint64_t head_width = 0;
  std::uint64_t vocabulary = 0;
  std::uint64_t context = 0;
  bool tied = false;         ///< the head is the embedding
  bool qkv_bias = false;     ///< queries, keys and values have biases
  bool qk_norm = false;      ///< queries and keys are normalised
  bool norms_after = false;  ///< attention and feed-forward are normalised once more behind
  bool fused = false;        ///< one matrix for queries, keys and values, and one for gate and up
  std::uint64_t window = 0;  ///< of sliding attention, in tokens
  std::uint64_t experts = 0;
  std::uint64_t experts_used = 0;
  std::uint64_t expert_feed_forward = 0;
};

/// Reads and checks the JSON; an error names the entry and the field. Code::incompatible for a newer version.
Result<std::vector<ModelShape>> parse_shapes(std::string_view json);

/// Those that are built in (model_shapes.json).
Result<std::vector<ModelShape>> known_shapes();

}  // namespace caravan::model
