// The shapes of real models, without their weights: which tensors of which size, which keys. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace caravan::lab {

/// What a tensor is for decides its type when it is quantized, and its values.
enum class Role {
  norm,       ///< ones, never quantized
  bias,       ///< zeros, never quantized
  decay,      ///< negative: ssm_a
  plain,      ///< weights that are never quantized: convolutions, the router of experts
  matrix,     ///< quantized
  embedding,  ///< quantized, as the head is when tied
  head,
  value,  ///< quantized with more bits in some layers: attn_v
  down,   ///< likewise: ffn_down
};

struct Tensor {
  std::string name;
  std::vector<std::int64_t> size;  ///< ggml's order: length of a row first
  Role role = Role::matrix;
  int layer = -1;
};

using Value = std::variant<std::uint32_t, float, bool, std::string, std::vector<std::uint32_t>>;

/// The numbers that make a model of one architecture. Zero: the architecture has no such thing.
struct Shape {
  std::string name;
  std::string architecture;
  std::string vocabulary;  ///< whose tokenizer: ggml-vocab-NAME.gguf
  std::uint32_t layers = 0;
  std::uint32_t width = 0;
  std::uint32_t feed_forward = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;
  std::uint32_t head_width = 0;
  std::uint32_t context = 32768;
  bool tied = true;
  bool qkv_bias = false;
  float rope_base = 10000.0F;
  std::uint32_t window = 0;  ///< of sliding attention
  std::uint32_t experts = 0;
  std::uint32_t experts_used = 0;
  std::uint32_t expert_feed_forward = 0;
  std::uint32_t dense_layers = 0;  ///< the first ones, without experts
  std::uint32_t q_rank = 0;        ///< of MLA
  std::uint32_t kv_rank = 0;       ///< of MLA
  std::uint32_t rope_width = 0;    ///< of MLA
  std::uint32_t state = 0;         ///< of a state-space model, as the rest below
  std::uint32_t inner = 0;
  std::uint32_t groups = 0;
  std::uint32_t time_steps = 0;
  std::uint32_t convolution = 0;
  std::uint32_t attention_every = 0;  ///< lfm2: every how many layers have attention
};

/// All that there are, by name.
const std::vector<Shape>& shapes();
const Shape* find_shape(std::string_view name);

/// In the order in which they are in the file.
std::vector<Tensor> tensors_of(const Shape& shape, std::uint32_t vocabulary);
/// Without "general." and tokenizer.
std::vector<std::pair<std::string, Value>> keys_of(const Shape& shape, std::uint32_t vocabulary);

}  // namespace caravan::lab
