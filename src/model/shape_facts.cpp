#include "model/shape_facts.h"

#include <stdexcept>

#include <fmt/format.h>

#include "model/gguf_header.h"
#include "model/gguf_keys.h"
#include "model/weight_facts.h"

namespace caravan::model {
namespace {

/// Text, type, score and merges of one token; measured in published files: Gemma 3 about 24, Qwen2.5 39,
/// Llama 3 61.
constexpr std::uint64_t kHeaderBytesOfToken = 40;

/// Tensors by the names and sizes with which llama.cpp v0.5.0 loads them (load_arch_tensors in
/// src/models/*.cpp).
class TensorList {
 public:
  TensorList(const ModelShape& shape, const Quantization& quantization)
      : shape_(shape), quantization_(quantization) {}

  std::vector<GgufTensor> make() {
    add("token_embd.weight", shape_.width, shape_.vocabulary, TensorRole::embedding);
    add("output_norm.weight", shape_.width, 1, TensorRole::vector);
    if (!shape_.tied) add("output.weight", shape_.width, shape_.vocabulary, TensorRole::head);
    for (layer_ = 0; layer_ < shape_.layers; ++layer_) {
      prefix_ = fmt::format("blk.{}.", layer_);
      attention();
      feed_forward();
    }
    return std::move(tensors_);
  }

 private:
  void add(std::string_view name, std::uint64_t columns, std::uint64_t rows, TensorRole role,
           std::uint64_t experts = 1) {
    GgufTensor tensor;
    tensor.name = prefix_ + std::string(name);
    tensor.type = type_of_tensor(quantization_, shape_, role, columns, layer_);
    tensor.columns = columns;
    tensor.rows = rows;
    tensor.weights = columns * rows * experts;
    tensor.bytes = ggml_row_size(tensor.type, static_cast<std::int64_t>(columns)) * rows * experts;
    tensors_.push_back(std::move(tensor));
  }

  void attention() {
    const std::uint64_t queries = shape_.heads * shape_.head_width;
    const std::uint64_t keys = shape_.kv_heads * shape_.head_width;
    add("attn_norm.weight", shape_.width, 1, TensorRole::vector);
    if (shape_.fused) {
      add("attn_qkv.weight", shape_.width, queries + 2 * keys, TensorRole::value);
    } else {
      add("attn_q.weight", shape_.width, queries, TensorRole::matrix);
      add("attn_k.weight", shape_.width, keys, TensorRole::key);
      add("attn_v.weight", shape_.width, keys, TensorRole::value);
    }
    if (shape_.qkv_bias) {
      add("attn_q.bias", queries, 1, TensorRole::vector);
      add("attn_k.bias", keys, 1, TensorRole::vector);
      add("attn_v.bias", keys, 1, TensorRole::vector);
    }
    if (shape_.qk_norm) {
      add("attn_q_norm.weight", shape_.head_width, 1, TensorRole::vector);
      add("attn_k_norm.weight", shape_.head_width, 1, TensorRole::vector);
    }
    add("attn_output.weight", queries, shape_.width, TensorRole::output);
    if (shape_.norms_after) add("post_attention_norm.weight", shape_.width, 1, TensorRole::vector);
  }

  void feed_forward() {
    add("ffn_norm.weight", shape_.width, 1, TensorRole::vector);
    const std::uint64_t length = shape_.feed_forward;
    if (shape_.experts > 0) {
      const std::uint64_t each = shape_.expert_feed_forward;
      add("ffn_gate_inp.weight", shape_.width, shape_.experts, TensorRole::router);
      add("ffn_gate_exps.weight", shape_.width, each, TensorRole::matrix, shape_.experts);
      add("ffn_up_exps.weight", shape_.width, each, TensorRole::matrix, shape_.experts);
      add("ffn_down_exps.weight", each, shape_.width, TensorRole::down, shape_.experts);
    } else if (shape_.fused) {
      add("ffn_up.weight", shape_.width, 2 * length, TensorRole::matrix);
      add("ffn_down.weight", length, shape_.width, TensorRole::down);
    } else {
      add("ffn_gate.weight", shape_.width, length, TensorRole::matrix);
      add("ffn_up.weight", shape_.width, length, TensorRole::matrix);
      add("ffn_down.weight", length, shape_.width, TensorRole::down);
    }
    if (shape_.norms_after) add("post_ffw_norm.weight", shape_.width, 1, TensorRole::vector);
  }

  const ModelShape& shape_;
  const Quantization& quantization_;
  std::uint64_t layer_ = 0;
  std::string prefix_;
  std::vector<GgufTensor> tensors_;
};

/// The keys from which facts of layers are read, as convert_hf_to_gguf.py writes them.
Gguf keys_of(const ModelShape& shape) {
  Gguf gguf(gguf_init_empty());
  const auto set = [&](std::string_view key, std::uint64_t value) {
    if (value == 0) return;
    gguf_set_val_u32(gguf.get(), fmt::format("{}.{}", shape.architecture, key).c_str(),
                     static_cast<std::uint32_t>(value));
  };
  set("embedding_length", shape.width);
  set("attention.head_count", shape.heads);
  set("attention.head_count_kv", shape.kv_heads);
  set("attention.key_length", shape.head_width);
  set("attention.value_length", shape.head_width);
  set("attention.sliding_window", shape.window);
  set("expert_used_count", shape.experts_used);
  return gguf;
}

}  // namespace

ModelFacts facts_of_shape(const ModelShape& shape, const Quantization& quantization) {
  const std::vector<GgufTensor> tensors = TensorList(shape, quantization).make();
  ModelFacts facts;
  facts.name = shape.title;
  facts.architecture = shape.architecture;
  facts.quantization = quantization.name;
  facts.layers.resize(shape.layers);
  facts.context_length = shape.context;
  facts.embedding_length = shape.width;
  facts.experts = shape.experts;
  if (const auto weighed = weigh(tensors, facts); !weighed) {
    throw std::logic_error("a shape without weights: " +
                           weighed.error().message);  // parse_shapes checks them
  }
  const Gguf gguf = keys_of(shape);
  add_layer_facts(GgufKeys(*gguf), tensors, shape.architecture, facts);
  facts.file_size = facts.weights() + Bytes{shape.vocabulary * kHeaderBytesOfToken};
  return facts;
}

}  // namespace caravan::model
