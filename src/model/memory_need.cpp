#include "model/memory_need.h"

#include <algorithm>
#include <array>
#include <span>

namespace caravan::model {
namespace {

constexpr std::uint64_t kFloat = 4;
constexpr std::uint64_t kCopiesOfPipeline = 4;  // GGML_SCHED_MAX_COPIES

struct KvTypeRow {
  KvType type;
  std::string_view name;
  std::uint64_t block_values;
  std::uint64_t block_bytes;
};

constexpr std::array<KvTypeRow, 9> kKvTypes{{{KvType::f32, "f32", 1, 4},
                                             {KvType::f16, "f16", 1, 2},
                                             {KvType::bf16, "bf16", 1, 2},
                                             {KvType::q8_0, "q8_0", 32, 34},
                                             {KvType::q5_1, "q5_1", 32, 24},
                                             {KvType::q5_0, "q5_0", 32, 22},
                                             {KvType::q4_1, "q4_1", 32, 20},
                                             {KvType::q4_0, "q4_0", 32, 18},
                                             {KvType::iq4_nl, "iq4_nl", 32, 18}}};

const KvTypeRow& row_of(KvType type) {
  return *std::find_if(kKvTypes.begin(), kKvTypes.end(), [&](const KvTypeRow& r) { return r.type == type; });
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

/// One device's answer; `question` has been made sane.
class Estimate {
 public:
  Estimate(const ModelFacts& model, const MemoryQuestion& question) : model_(model), question_(question) {
    if (!model.layer_facts.empty()) {
      layers_ = std::span(model.layer_facts).subspan(question.first_layer, question.layer_count);
    }
    const std::uint64_t tokens = std::min(question.ubatch, cells(false) * streams());
    tokens_ = round_up(tokens, question.parallel);
    if (!question.flash_attention) {  // the engine then pads values to the widest of any layer
      for (const LayerFacts& layer : model.layer_facts)
        widest_value_ = std::max(widest_value_, layer.value_width);
    }
  }

  Bytes weights() const {
    Bytes sum;
    for (std::size_t i = 0; i < question_.layer_count; ++i) sum += model_.layers[question_.first_layer + i];
    if (question_.is_master) sum += model_.embedding + model_.other;
    if (question_.has_head && (!model_.tied_head || !question_.is_master)) sum += model_.head;
    return sum;
  }

  Bytes kv() const {
    std::uint64_t sum = 0;
    for (const LayerFacts& layer : layers_) {
      const std::uint64_t value_width =
          layer.value_width == 0 ? 0 : std::max(layer.value_width, widest_value_);
      const Bytes token =
          kv_bytes(question_.key_type, layer.key_width) + kv_bytes(question_.value_type, value_width);
      sum += token.count * cells(layer.window) * streams();
      sum += layer.state * kFloat * question_.parallel;
    }
    return Bytes{sum};
  }

  Bytes compute() const {
    std::uint64_t most = 2 * width() * tokens_ * kFloat;
    for (const LayerFacts& layer : layers_) {
      most = std::max({most, of_attention(layer), of_feed_forward(layer), of_recurrence(layer)});
    }
    const std::uint64_t logits = question_.parallel * model_.vocabulary * kFloat;
    if (question_.has_head) most = std::max(most, logits + 2 * question_.parallel * width() * kFloat);
    std::uint64_t sum = most + inputs();
    if (question_.pipelined) {
      const std::uint64_t hidden = question_.layer_count == 0 ? 0 : width() * tokens_ * kFloat;
      sum += (kCopiesOfPipeline - 1) * (inputs() + hidden) + hidden;
    }
    if (question_.is_master) sum += logits;  // kept outside of the compute buffer, for whoever samples
    return Bytes{sum};
  }

 private:
  std::uint64_t width() const { return model_.embedding_length; }
  std::uint64_t streams() const { return question_.unified ? 1 : question_.parallel; }

  /// Tokens in the cache of one stream (llama_context: n_ctx_seq; llama_kv_cache_iswa: size_swa).
  std::uint64_t cells(std::uint64_t window) const {
    const std::uint64_t shared = question_.unified ? question_.parallel : 1;
    const std::uint64_t all = round_up(question_.context * shared, 256);
    return window == 0 ? all : round_up(std::min(all, window * shared + question_.ubatch), 256);
  }

  /// Of quantized keys and values, the matrices that spread outliers (llama_kv_cache::build_input_k_rot).
  std::uint64_t rotations(const LayerFacts& layer) const {
    std::uint64_t sum = 0;
    if (row_of(question_.key_type).block_values > 1 && layer.key_length % 64 == 0) {
      const std::uint64_t side = layer.key_length & (~layer.key_length + 1);  // largest power of two in it
      sum += side * side * kFloat;
    }
    if (row_of(question_.value_type).block_values > 1 && layer.value_width > 0) sum += 64ULL * 64 * kFloat;
    return sum;
  }

  /// Masks, and where values go, are inputs of the graph: they stay for as long as it runs.
  std::uint64_t inputs() const {
    std::uint64_t whole = 0;
    std::uint64_t sliding = 0;
    for (const LayerFacts& layer : model_.layer_facts) {
      if (!layer.has_attention()) continue;
      const std::uint64_t mask = cells(layer.window) * tokens_ * (question_.flash_attention ? 2 : kFloat);
      const std::uint64_t places = question_.flash_attention ? 0 : layer.value_width * tokens_ * 8;
      std::uint64_t& kind = layer.window == 0 ? whole : sliding;
      kind = std::max(kind, mask + places + rotations(layer));
    }
    const std::uint64_t embeddings = model_.per_layer_width * model_.n_layers() * kFloat;
    constexpr std::uint64_t kPositionsAndIds = 64;
    return whole + sliding + tokens_ * (embeddings + kPositionsAndIds);
  }

  std::uint64_t of_attention(const LayerFacts& layer) const {
    if (!layer.has_attention()) return 0;
    std::uint64_t values = 3 * width();
    if (layer.latent_width > 0) {
      values += layer.heads * (2 * layer.latent_width + layer.key_width);
    } else if (question_.flash_attention) {
      values += 3 * layer.query_width + 2 * (layer.key_width + layer.value_width);
    } else {
      values += 2 * layer.query_width;
    }
    std::uint64_t copies = 0;
    if (!question_.flash_attention) {
      values += layer.heads * cells(layer.window);
      // values are a view of the keys then, which has to be transposed
      copies = 2 * layer.latent_width * cells(layer.window) * streams();
    }
    if (layer.is_recurrent()) values += layer.projection + layer.convolution;  // its other half waits
    return values * tokens_ * kFloat + copies;
  }

  std::uint64_t of_feed_forward(const LayerFacts& layer) const {
    const std::uint64_t residual = (layer.norms_after ? 5 : 4) * width();
    const std::uint64_t experts =
        layer.experts_used * std::max(2 * width(), layer.expert_feed_forward) + model_.experts;
    const bool has_experts = layer.expert_feed_forward > 0;
    const std::uint64_t values = residual + std::max(layer.feed_forward, has_experts ? experts : 0);
    return values * tokens_ * kFloat;
  }

  std::uint64_t of_recurrence(const LayerFacts& layer) const {
    if (!layer.is_recurrent()) return 0;
    // RWKV has neither projection nor convolution, but a dozen vectors of the model's width
    const std::uint64_t mixed =
        layer.projection > 0 ? layer.projection + 2 * layer.convolution + 2 * layer.inner : 12 * width();
    const std::uint64_t states = layer.state * question_.parallel;
    return ((mixed + 2 * width()) * tokens_ + states) * kFloat;
  }

  const ModelFacts& model_;
  const MemoryQuestion& question_;
  std::span<const LayerFacts> layers_;
  std::uint64_t tokens_ = 0;
  std::uint64_t widest_value_ = 0;
};

}  // namespace

std::string_view name_of(KvType type) { return row_of(type).name; }

std::optional<KvType> kv_type_from_name(std::string_view name) {
  for (const KvTypeRow& row : kKvTypes) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

Bytes kv_bytes(KvType type, std::uint64_t width) {
  const KvTypeRow& row = row_of(type);
  return Bytes{round_up(width, row.block_values) / row.block_values * row.block_bytes};
}

MemoryQuestion MemoryQuestion::whole(const ModelFacts& model) {
  MemoryQuestion question;
  question.layer_count = model.n_layers();
  return question;
}

Memory memory_need(const ModelFacts& model, const MemoryQuestion& asked) {
  constexpr std::uint64_t kMaxContext = 1U << 24U;
  constexpr std::uint64_t kMaxParallel = 256;  // LLAMA_MAX_SEQ
  MemoryQuestion question = asked;
  question.first_layer = std::min(asked.first_layer, model.n_layers());
  question.layer_count = std::min(asked.layer_count, model.n_layers() - question.first_layer);
  question.context = std::clamp<std::uint64_t>(asked.context, 1, kMaxContext);
  question.parallel = std::clamp<std::uint64_t>(asked.parallel, 1, kMaxParallel);
  question.ubatch = std::clamp<std::uint64_t>(asked.ubatch, 1, kMaxContext);
  const Estimate estimate(model, question);
  return {estimate.weights(), estimate.kv(), estimate.compute()};
}

}  // namespace caravan::model
