// The quantizations that people publish models in, and as which ggml type each tensor is stored then. Must
// not know devices.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <ggml.h>

#include "model/shape.h"

namespace caravan::model {

struct Quantization {
  std::string_view name;  ///< "Q4_K_M"
  ggml_type type;         ///< of most tensors
  /// What it adds to the perplexity of Llama-3-8B on wikitext-2; measured by llama.cpp's authors
  /// (tools/quantize/quantize.cpp of v0.5.0).
  double added_perplexity;
};

/// Of Llama-3-8B in f16, for comparison with `added_perplexity` (tools/perplexity/README.md of
/// llama.cpp v0.5.0).
inline constexpr double kReferencePerplexity = 6.2331;

/// The finest first.
std::span<const Quantization> quantizations();
/// Nothing (nullptr) for one that is not in the table.
const Quantization* find_quantization(std::string_view name);

/// What a tensor is for: decides how many bits it gets.
enum class TensorRole {
  vector,  ///< norms and biases: one row, never quantized
  router,  ///< of experts: never quantized
  embedding,
  head,
  value,   ///< attn_v, or one matrix of queries, keys and values
  key,     ///< attn_k
  output,  ///< attn_output
  down,    ///< ffn_down
  matrix,  ///< any other
};

/// As llama-quantize without an importance matrix chooses (llama_tensor_get_type_impl and
/// tensor_type_fallback in llama-quant.cpp, v0.5.0). `columns`: length of a row. `layer` counts from 0 and is
/// ignored outside of layers.
ggml_type type_of_tensor(const Quantization& quantization, const ModelShape& shape, TensorRole role,
                         std::uint64_t columns, std::uint64_t layer);

}  // namespace caravan::model
