#include "model/layer_facts.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "model/gguf_keys.h"

namespace caravan::model {
namespace {

// Beyond these nothing is a model, and below them no product of theirs overflows.
constexpr std::uint64_t kMaxHeads = 1U << 12U;
constexpr std::uint64_t kMaxWidth = 1U << 24U;
constexpr std::uint64_t kMaxState = 1ULL << 32U;

/// How an architecture tells its recurrent layers (llm_arch_is_recurrent, llm_arch_is_hybrid and the filters
/// in llama_model::create_memory).
enum class Recurrence {
  none,
  all,             ///< and none has attention
  both,            ///< and all have attention as well
  no_kv_heads,     ///< those with no heads for keys and values
  nothing_else,    ///< those with no such heads and no feed-forward
  listed_or_each,  ///< a list, or all but every Nth
};

Recurrence recurrence_of(std::string_view architecture) {
  struct Row {
    std::string_view architecture;
    Recurrence recurrence;
  };
  constexpr std::array<Row, 22> kRows{{{"mamba", Recurrence::all},
                                       {"mamba2", Recurrence::all},
                                       {"rwkv6", Recurrence::all},
                                       {"rwkv6qwen2", Recurrence::all},
                                       {"rwkv7", Recurrence::all},
                                       {"arwkv7", Recurrence::all},
                                       {"falcon-h1", Recurrence::both},
                                       {"jamba", Recurrence::no_kv_heads},
                                       {"plamo2", Recurrence::no_kv_heads},
                                       {"granitehybrid", Recurrence::no_kv_heads},
                                       {"lfm2", Recurrence::no_kv_heads},
                                       {"lfm2moe", Recurrence::no_kv_heads},
                                       {"kimi-linear", Recurrence::no_kv_heads},
                                       {"kimi-k3", Recurrence::no_kv_heads},
                                       {"bailingmoe3", Recurrence::no_kv_heads},
                                       {"nemotron_h", Recurrence::nothing_else},
                                       {"nemotron_h_moe", Recurrence::nothing_else},
                                       {"qwen3next", Recurrence::listed_or_each},
                                       {"qwen35", Recurrence::listed_or_each},
                                       {"qwen35moe", Recurrence::listed_or_each},
                                       {"qwen4exp", Recurrence::listed_or_each},
                                       {"minimax-01", Recurrence::listed_or_each}}};
  for (const Row& row : kRows) {
    if (row.architecture == architecture) return row.recurrence;
  }
  return Recurrence::none;
}

/// Reads the keys of one model; every number is checked against its limit, a wrong one makes it all unknown.
class Reader {
 public:
  Reader(const GgufKeys& keys, const std::string& architecture, std::size_t n_layers)
      : keys_(keys), architecture_(architecture), n_layers_(n_layers), layers_(n_layers) {}

  std::vector<LayerFacts> read(const std::vector<GgufTensor>& tensors);

 private:
  std::string key(std::string_view name) const { return architecture_ + "." + std::string(name); }
  std::uint64_t number(std::string_view name, std::uint64_t otherwise, std::uint64_t limit = kMaxWidth) {
    const std::uint64_t value = keys_.whole(key(name)).value_or(otherwise);
    known_ &= value <= limit;
    return known_ ? value : 0;
  }
  std::vector<std::uint64_t> list(std::string_view name, const std::vector<std::uint64_t>& otherwise,
                                  std::uint64_t limit) {
    auto values = keys_.has(key(name)) ? keys_.whole_list(key(name), n_layers_) : otherwise;
    known_ &= values && std::all_of(values->begin(), values->end(), [&](auto v) { return v <= limit; });
    return known_ ? *values : std::vector<std::uint64_t>(n_layers_, 0);
  }

  void read_heads();
  void read_attention();
  void read_recurrence();
  void add_tensor(LayerFacts& layer, std::string_view name, const GgufTensor& tensor) const;
  std::uint64_t state_values();
  bool shares_cache_of_another(std::size_t layer);

  const GgufKeys& keys_;
  const std::string& architecture_;
  std::size_t n_layers_;
  std::vector<LayerFacts> layers_;
  std::vector<std::uint64_t> kv_heads_;
  std::uint64_t width_ = 0;
  bool known_ = true;
};

void Reader::read_heads() {
  width_ = number("embedding_length", 0);
  const std::vector<std::uint64_t> none(n_layers_, 0);
  const auto heads = list("attention.head_count", none, kMaxHeads);
  kv_heads_ = list("attention.head_count_kv", heads, kMaxHeads);
  const auto used = list("expert_used_count", none, kMaxHeads);
  for (std::size_t i = 0; i < n_layers_; ++i) {
    layers_[i].heads = heads[i];
    layers_[i].experts_used = used[i];
  }
}

/// Gemma 3n and 4: the last layers look into the cache of an earlier one. The layers that only predict
/// further tokens (MTP) are not run.
bool Reader::shares_cache_of_another(std::size_t layer) {
  if (architecture_ == "gemma3n") return layer >= 20;
  if (architecture_ == "gemma4") return layer + number("attention.shared_kv_layers", 0) >= n_layers_;
  return layer + number("nextn_predict_layers", 0) >= n_layers_;
}

void Reader::read_attention() {
  std::uint64_t most_heads = 0;
  for (const LayerFacts& layer : layers_) most_heads = std::max(most_heads, layer.heads);
  const std::uint64_t by_default = most_heads == 0 ? 0 : width_ / most_heads;
  const std::uint64_t key_length = number("attention.key_length", by_default);
  const std::uint64_t value_length = number("attention.value_length", by_default);
  const std::uint64_t sliding_key = number("attention.key_length_swa", key_length);
  const std::uint64_t sliding_value = number("attention.value_length_swa", value_length);
  const bool is_latent =
      number("attention.key_length_mla", 0) > 0 && number("attention.value_length_mla", 0) > 0;
  // sparse attention (DSA) keeps one more key a token, for choosing
  const std::uint64_t index = is_latent ? number("attention.indexer.key_length", 0) : 0;
  const auto windows = read_windows(keys_, architecture_, n_layers_);
  for (std::size_t i = 0; i < n_layers_; ++i) {
    LayerFacts& layer = layers_[i];
    if (shares_cache_of_another(i) || kv_heads_[i] == 0) continue;
    layer.window = windows[i];
    layer.key_length = layer.window > 0 ? sliding_key : key_length;
    layer.key_width = kv_heads_[i] * layer.key_length + index;
    if (is_latent) {
      layer.latent_width = number("attention.kv_lora_rank", 0);
    } else {
      layer.value_width = kv_heads_[i] * (layer.window > 0 ? sliding_value : value_length);
    }
    known_ &= layer.key_width <= kMaxWidth && layer.value_width <= kMaxWidth;
  }
}

/// llama_hparams::n_embd_r() + n_embd_s().
std::uint64_t Reader::state_values() {
  const std::uint64_t heads = layers_.front().heads;
  const std::uint64_t convolution = number("ssm.conv_kernel", 0, kMaxHeads);
  const std::uint64_t before = convolution == 0 ? 0 : convolution - 1;
  if (const std::uint64_t head = number("wkv.head_size", 0, kMaxHeads); head > 0) {
    return number("token_shift_count", 2, kMaxHeads) * width_ + width_ * head;
  }
  if (const std::uint64_t length = number("shortconv.l_cache", 0, kMaxHeads); length > 0) {
    return width_ * (length - 1);
  }
  if (const std::uint64_t head = number("kda.head_dim", 0, 1U << 12U); head > 0) {
    return 3 * (convolution == 0 ? 3 : before) * heads * head + head * head * heads;
  }
  if (architecture_ == "minimax-01") {
    const std::uint64_t head = number("attention.key_length", 0, 1U << 12U);
    return head * head * heads;
  }
  const std::uint64_t state = number("ssm.state_size", 0, kMaxHeads);
  const std::uint64_t inner = number("ssm.inner_size", 0);
  const std::uint64_t groups = number("ssm.group_count", 0, kMaxHeads);
  known_ &= groups * state <= kMaxWidth;
  return before * (inner + 2 * groups * state) + state * inner;
}

void Reader::read_recurrence() {
  const Recurrence recurrence = recurrence_of(architecture_);
  if (recurrence == Recurrence::none) return;
  const std::uint64_t state = state_values();
  known_ &= state <= kMaxState;
  const std::uint64_t interval =
      std::max<std::uint64_t>(1, number("full_attention_interval", architecture_ == "minimax-01" ? 8 : 4));
  std::vector<std::uint64_t> listed(n_layers_);
  for (std::size_t i = 0; i < n_layers_; ++i) listed[i] = (i + 1) % interval != 0 ? 1 : 0;
  if (recurrence == Recurrence::listed_or_each) listed = list("attention.recurrent_layers", listed, 1);
  const auto feed_forward = list("feed_forward_length", std::vector<std::uint64_t>(n_layers_, 0), kMaxWidth);
  const std::uint64_t extra = number("nextn_predict_layers", 0);
  for (std::size_t i = 0; i < n_layers_; ++i) {
    LayerFacts& layer = layers_[i];
    const bool is_recurrent =
        recurrence == Recurrence::all || recurrence == Recurrence::both ||
        (recurrence == Recurrence::no_kv_heads && kv_heads_[i] == 0) ||
        (recurrence == Recurrence::nothing_else && kv_heads_[i] == 0 && feed_forward[i] == 0) ||
        (recurrence == Recurrence::listed_or_each && listed[i] != 0);
    if (!is_recurrent || i + extra >= n_layers_) continue;
    layer.state = state;
    layer.inner = number("ssm.inner_size", width_);
    if (recurrence != Recurrence::both) layer.key_width = layer.value_width = layer.window = 0;
  }
}

/// Widths from the tensors themselves: their names are the same in all architectures, the keys are not.
void Reader::add_tensor(LayerFacts& layer, std::string_view name, const GgufTensor& tensor) const {
  const auto raise = [](std::uint64_t& width, std::uint64_t to) {
    width = std::max(width, std::min(to, kMaxWidth));
  };
  const auto grow = [](std::uint64_t& width, std::uint64_t by) { width = std::min(width + by, kMaxWidth); };
  if (name == "attn_q.weight" || name == "attn_qkv.weight" || name == "attn_q_b.weight") {
    if (layer.is_recurrent() && !layer.has_attention()) {
      grow(layer.projection, tensor.rows);
    } else {
      raise(layer.query_width, tensor.rows);
    }
  } else if (name == "ssm_in.weight" || name == "attn_gate.weight" || name == "shortconv.in_proj.weight") {
    grow(layer.projection, tensor.rows);
  } else if (name == "ssm_conv1d.weight" || name == "shortconv.conv.weight") {
    raise(layer.convolution, tensor.rows);
  } else if (name.rfind("ffn_", 0) == 0 && name.find("norm") == std::string_view::npos &&
             name.find("gate_inp") == std::string_view::npos &&
             name.find(".weight") != std::string_view::npos) {
    const bool is_down = name.rfind("ffn_down", 0) == 0;
    const bool is_experts = name.find("_exps.") != std::string_view::npos;
    grow(is_experts ? layer.expert_feed_forward : layer.feed_forward, is_down ? tensor.columns : tensor.rows);
  } else if (name == "post_ffw_norm.weight") {
    layer.norms_after = true;
  }
  if (name.find("_exps.") != std::string_view::npos) layer.experts += Bytes{tensor.bytes};
}

std::vector<LayerFacts> Reader::read(const std::vector<GgufTensor>& tensors) {
  read_heads();
  read_attention();
  read_recurrence();
  if (!known_) return {};
  for (const GgufTensor& tensor : tensors) {
    const auto layer = layer_of_tensor(tensor.name);
    if (!layer || *layer >= n_layers_) continue;
    add_tensor(layers_[*layer], std::string_view(tensor.name).substr(tensor.name.find('.', 4) + 1), tensor);
  }
  return std::move(layers_);
}

}  // namespace

std::vector<LayerFacts> read_layer_facts(const GgufKeys& keys, const std::vector<GgufTensor>& tensors,
                                         const std::string& architecture, std::size_t n_layers) {
  return Reader(keys, architecture, n_layers).read(tensors);
}

}  // namespace caravan::model
