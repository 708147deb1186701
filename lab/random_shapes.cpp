#include "lab/random_shapes.h"

#include <fmt/format.h>

namespace caravan::lab {
namespace {

/// Collects tensors; names and sizes as llama.cpp v0.5.0 loads them (load_arch_tensors in src/models/*.cpp).
class Builder {
 public:
  Builder(const Shape& shape, std::uint32_t vocabulary) : shape_(shape), vocabulary_(vocabulary) {}

  std::vector<Tensor> build() {
    add("token_embd.weight", {shape_.width, vocabulary_}, Role::embedding);
    const bool is_lfm2 = shape_.architecture == "lfm2";
    add(is_lfm2 ? "token_embd_norm.weight" : "output_norm.weight", {shape_.width}, Role::norm);
    if (!shape_.tied) add("output.weight", {shape_.width, vocabulary_}, Role::head);
    for (layer_ = 0; layer_ < static_cast<int>(shape_.layers); ++layer_) {
      add("attn_norm.weight", {shape_.width}, Role::norm);
      if (shape_.kv_rank > 0) {
        latent_attention();
      } else if (is_lfm2 && !has_attention(shape_, layer_)) {
        short_convolution();
      } else if (shape_.heads > 0) {
        attention();
      }
      if (shape_.state > 0) state_space();
      if (shape_.feed_forward + shape_.expert_feed_forward > 0) feed_forward();
    }
    return std::move(tensors_);
  }

  static bool has_attention(const Shape& shape, int layer) {
    return shape.attention_every == 0 ||
           static_cast<std::uint32_t>(layer) % shape.attention_every == shape.attention_every - 1;
  }

 private:
  void add(std::string_view name, std::vector<std::int64_t> size, Role role) {
    const std::string full = layer_ < 0 ? std::string(name) : fmt::format("blk.{}.{}", layer_, name);
    tensors_.push_back({full, std::move(size), role, layer_});
  }

  void attention() {
    const std::int64_t queries = std::int64_t{shape_.heads} * shape_.head_width;
    const std::int64_t keys = std::int64_t{shape_.kv_heads} * shape_.head_width;
    add("attn_q.weight", {shape_.width, queries}, Role::matrix);
    add("attn_k.weight", {shape_.width, keys}, Role::matrix);
    add("attn_v.weight", {shape_.width, keys}, Role::value);
    if (shape_.qkv_bias) {
      add("attn_q.bias", {queries}, Role::bias);
      add("attn_k.bias", {keys}, Role::bias);
      add("attn_v.bias", {keys}, Role::bias);
    }
    const std::string& name = shape_.architecture;
    if (name == "gemma3" || name == "qwen3moe" || name == "lfm2") {
      add("attn_q_norm.weight", {shape_.head_width}, Role::norm);
      add("attn_k_norm.weight", {shape_.head_width}, Role::norm);
    }
    add("attn_output.weight", {queries, shape_.width}, Role::matrix);
    if (name == "gemma3") add("post_attention_norm.weight", {shape_.width}, Role::norm);
  }

  /// DeepSeek's: keys and values of all heads come from one compressed vector.
  void latent_attention() {
    const std::int64_t heads = shape_.heads;
    const std::int64_t key = shape_.head_width + shape_.rope_width;
    add("attn_q_a_norm.weight", {shape_.q_rank}, Role::norm);
    add("attn_kv_a_norm.weight", {shape_.kv_rank}, Role::norm);
    add("attn_q_a.weight", {shape_.width, shape_.q_rank}, Role::matrix);
    add("attn_q_b.weight", {shape_.q_rank, heads * key}, Role::matrix);
    add("attn_kv_a_mqa.weight", {shape_.width, shape_.kv_rank + shape_.rope_width}, Role::matrix);
    add("attn_k_b.weight", {shape_.head_width, shape_.kv_rank, heads}, Role::matrix);
    add("attn_v_b.weight", {shape_.kv_rank, shape_.head_width, heads}, Role::matrix);
    add("attn_output.weight", {heads * shape_.head_width, shape_.width}, Role::matrix);
  }

  void short_convolution() {
    add("shortconv.conv.weight", {shape_.convolution, shape_.width}, Role::plain);
    add("shortconv.in_proj.weight", {shape_.width, 3 * std::int64_t{shape_.width}}, Role::matrix);
    add("shortconv.out_proj.weight", {shape_.width, shape_.width}, Role::matrix);
  }

  void state_space() {
    const std::int64_t convolved =
        std::int64_t{shape_.inner} + 2 * std::int64_t{shape_.groups} * shape_.state;
    add("ssm_in.weight", {shape_.width, shape_.inner + convolved + shape_.time_steps}, Role::matrix);
    add("ssm_conv1d.weight", {shape_.convolution, convolved}, Role::plain);
    add("ssm_conv1d.bias", {convolved}, Role::bias);
    add("ssm_dt.bias", {shape_.time_steps}, Role::bias);
    add("ssm_a", {1, shape_.time_steps}, Role::decay);
    add("ssm_d", {1, shape_.time_steps}, Role::norm);
    add("ssm_norm.weight", {shape_.inner / shape_.groups, shape_.groups}, Role::norm);
    add("ssm_out.weight", {shape_.inner, shape_.width}, Role::matrix);
  }

  void feed_forward() {
    const bool is_dense = shape_.experts == 0 || layer_ < static_cast<int>(shape_.dense_layers);
    add(shape_.architecture == "falcon-h1" ? "ffn_norm" : "ffn_norm.weight", {shape_.width}, Role::norm);
    if (is_dense) {
      branch("", shape_.feed_forward, {});
    } else {
      add("ffn_gate_inp.weight", {shape_.width, shape_.experts}, Role::plain);
      branch("_exps", shape_.expert_feed_forward, shape_.experts);
      if (shape_.kv_rank > 0) branch("_shexp", shape_.expert_feed_forward, {});  // one shared expert
    }
    if (shape_.architecture == "gemma3") add("post_ffw_norm.weight", {shape_.width}, Role::norm);
  }

  void branch(std::string_view suffix, std::uint32_t length, std::optional<std::uint32_t> experts) {
    const auto sized = [&](std::int64_t row, std::int64_t rows) {
      std::vector<std::int64_t> size{row, rows};
      if (experts) size.push_back(*experts);
      return size;
    };
    add(fmt::format("ffn_gate{}.weight", suffix), sized(shape_.width, length), Role::matrix);
    add(fmt::format("ffn_up{}.weight", suffix), sized(shape_.width, length), Role::matrix);
    add(fmt::format("ffn_down{}.weight", suffix), sized(length, shape_.width), Role::down);
  }

  const Shape& shape_;
  std::uint32_t vocabulary_;
  int layer_ = -1;
  std::vector<Tensor> tensors_;
};

std::vector<Shape> make_shapes() {
  std::vector<Shape> all;
  // Real ones. Vocabularies are the tokenizer file's, which may have a few more or less than the model's.
  all.push_back({"qwen2.5-0.5b", "qwen2", "qwen2", 24, 896, 4864, 14, 2, 64, 32768, true, true, 1e6F});
  all.push_back({"qwen2.5-1.5b", "qwen2", "qwen2", 28, 1536, 8960, 12, 2, 128, 32768, true, true, 1e6F});
  all.push_back({"qwen2.5-3b", "qwen2", "qwen2", 36, 2048, 11008, 16, 2, 128, 32768, true, true, 1e6F});
  all.push_back({"qwen2.5-7b", "qwen2", "qwen2", 28, 3584, 18944, 28, 4, 128, 32768, false, true, 1e6F});
  all.push_back({"llama-3.2-1b", "llama", "llama-bpe", 16, 2048, 8192, 32, 8, 64, 131072, true, false, 5e5F});
  all.push_back(
      {"llama-3.2-3b", "llama", "llama-bpe", 28, 3072, 8192, 24, 8, 128, 131072, true, false, 5e5F});
  all.push_back(
      {"llama-3.1-8b", "llama", "llama-bpe", 32, 4096, 14336, 32, 8, 128, 131072, false, false, 5e5F});
  // Small ones, with all that is special about their architecture: for tests.
  all.push_back({"small-llama", "llama", "llama-spm", 8, 1024, 2816, 16, 4, 64, 8192, false});
  all.push_back({"small-qwen2", "qwen2", "llama-spm", 8, 896, 4864, 14, 2, 64, 32768, true, true, 1e6F});
  Shape gemma{"small-gemma3", "gemma3", "llama-spm", 13, 640, 2048, 4, 1, 256, 32768};
  gemma.window = 512;
  all.push_back(gemma);
  Shape experts{"small-qwen3moe", "qwen3moe", "llama-spm", 5, 1024, 0, 16, 4, 128, 32768, false};
  experts.experts = 16;
  experts.experts_used = 4;
  experts.expert_feed_forward = 512;
  all.push_back(experts);
  Shape latent{"small-deepseek2", "deepseek2", "llama-spm", 6, 1024, 2816, 16, 1, 128, 32768, false};
  latent.experts = 8;
  latent.experts_used = 2;
  latent.expert_feed_forward = 512;
  latent.dense_layers = 1;
  latent.q_rank = 384;
  latent.kv_rank = 512;
  latent.rope_width = 64;
  all.push_back(latent);
  Shape convolutions{"small-lfm2", "lfm2", "llama-spm", 12, 1024, 2816, 16, 8, 64, 32768};
  convolutions.convolution = 3;
  convolutions.attention_every = 3;
  all.push_back(convolutions);
  Shape hybrid{"small-falcon-h1", "falcon-h1", "llama-spm", 8, 1024, 2048, 8, 2, 64, 16384};
  hybrid.state = 128;
  hybrid.inner = 1536;
  hybrid.groups = 1;
  hybrid.time_steps = 24;
  hybrid.convolution = 4;
  all.push_back(hybrid);
  Shape states{"small-mamba2", "mamba2", "llama-spm", 12, 768, 0, 0, 0, 0, 1048576};
  states.state = 128;
  states.inner = 1536;
  states.groups = 1;
  states.time_steps = 24;
  states.convolution = 4;
  all.push_back(states);
  return all;
}

}  // namespace

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> made = make_shapes();
  return made;
}

const Shape* find_shape(std::string_view name) {
  for (const Shape& shape : shapes()) {
    if (shape.name == name) return &shape;
  }
  return nullptr;
}

std::vector<Tensor> tensors_of(const Shape& shape, std::uint32_t vocabulary) {
  return Builder(shape, vocabulary).build();
}

std::vector<std::pair<std::string, Value>> keys_of(const Shape& shape, std::uint32_t vocabulary) {
  std::vector<std::pair<std::string, Value>> keys;
  const auto add = [&](std::string_view key, Value value) {
    keys.emplace_back(fmt::format("{}.{}", shape.architecture, key), std::move(value));
  };
  const auto add_unless_zero = [&](std::string_view key, std::uint32_t value) {
    if (value > 0) add(key, value);
  };
  add("block_count", shape.layers);
  add("context_length", shape.context);
  add("embedding_length", shape.width);
  add("feed_forward_length", shape.feed_forward);
  add("vocab_size", vocabulary);
  add("rope.freq_base", shape.rope_base);
  add("attention.layer_norm_rms_epsilon", 1e-6F);
  add("attention.head_count", shape.heads);
  if (shape.attention_every > 0) {
    std::vector<std::uint32_t> heads;
    heads.reserve(shape.layers);
    for (int i = 0; i < static_cast<int>(shape.layers); ++i) {
      heads.push_back(Builder::has_attention(shape, i) ? shape.kv_heads : 0);
    }
    add("attention.head_count_kv", heads);
  } else {
    add("attention.head_count_kv", shape.kv_heads);
  }
  // of MLA, the lengths in the cache: the compressed vector and the part with the position
  const bool is_latent = shape.kv_rank > 0;
  add_unless_zero("attention.key_length", is_latent ? shape.kv_rank + shape.rope_width : shape.head_width);
  add_unless_zero("attention.value_length", is_latent ? shape.kv_rank : shape.head_width);
  if (is_latent) {
    add("attention.q_lora_rank", shape.q_rank);
    add("attention.kv_lora_rank", shape.kv_rank);
    add("attention.key_length_mla", shape.head_width + shape.rope_width);
    add("attention.value_length_mla", shape.head_width);
    add("rope.dimension_count", shape.rope_width);
    add("expert_shared_count", std::uint32_t{1});
    add("leading_dense_block_count", shape.dense_layers);
  }
  add_unless_zero("attention.sliding_window", shape.window);
  add_unless_zero("expert_count", shape.experts);
  add_unless_zero("expert_used_count", shape.experts_used);
  add_unless_zero("expert_feed_forward_length", shape.expert_feed_forward);
  add_unless_zero("ssm.state_size", shape.state);
  add_unless_zero("ssm.inner_size", shape.inner);
  add_unless_zero("ssm.group_count", shape.groups);
  add_unless_zero("ssm.time_step_rank", shape.time_steps);
  if (shape.state > 0) add("ssm.conv_kernel", shape.convolution);
  if (shape.architecture == "lfm2") add("shortconv.l_cache", shape.convolution);
  return keys;
}

}  // namespace caravan::lab
