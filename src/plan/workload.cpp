#include "plan/workload.h"

#include <algorithm>

#include "model/catalogue.h"
#include "plan/plan.h"
#include "plan/speculation.h"

namespace caravan::plan {
namespace {

/// Operations between the matrices of a layer, as llama.cpp builds a plain transformer with flash attention:
/// norms, rotations, cache writes, attention, activation, sums.
constexpr int kNodesBetween = 12;
constexpr int kNodesOfHead = 3;

/// Norms and biases are stored as f32 and cost what the elements do; matrices are what is multiplied with.
bool is_matrix_type(const std::string& type) { return type != "f32"; }

/// A layer's weights by type, shrunk to what a token uses of its experts.
std::vector<TypedWeights> active_weights(const std::vector<model::TypeShare>& types, double part) {
  std::vector<TypedWeights> active;
  for (const model::TypeShare& share : types) {
    const std::string type = model::lower_case(share.type);
    if (!is_matrix_type(type) && types.size() > 1) continue;
    active.push_back(
        {type, static_cast<double>(share.bytes.count) * part, static_cast<double>(share.parameters) * part});
  }
  return active;
}

model::MemoryQuestion question_for(const Usage& usage, int micro_batch) {
  model::MemoryQuestion question;
  question.context = static_cast<std::uint64_t>(usage.context);
  question.parallel = static_cast<std::uint64_t>(usage.parallel);
  question.ubatch = static_cast<std::uint64_t>(micro_batch);
  question.key_type = usage.kv;
  question.value_type = usage.kv;
  return question;
}

Part layer_part(const model::ModelFacts& model, std::size_t layer, const Usage& usage,
                model::MemoryQuestion question) {
  question.first_layer = layer;
  question.layer_count = 1;
  question.is_master = false;
  question.has_head = false;
  Part part;
  part.weights = model.layers[layer];
  part.kv = model::memory_need(model, question).kv;
  const double all = static_cast<double>(part.weights.count);
  const double used = all > 0 ? static_cast<double>(model.active_of_layer(layer).count) / all : 0;
  part.active = active_weights(model.layer_types[layer], used);
  part.nodes = kNodesBetween + static_cast<int>(model.layer_types[layer].size()) * 3;
  const auto width = static_cast<double>(model.embedding_length);
  part.elements = 4 * width;
  if (layer >= model.layer_facts.size()) return part;
  const model::LayerFacts& facts = model.layer_facts[layer];
  const auto depth = static_cast<std::uint64_t>(usage.depth);
  const std::uint64_t looked_at = facts.window > 0 ? std::min(facts.window, depth) : depth;
  part.attention = 2.0 * static_cast<double>(facts.query_width) * static_cast<double>(looked_at);
  part.elements += 2.0 * static_cast<double>(facts.query_width) +
                   static_cast<double>(facts.key_width + facts.value_width) +
                   static_cast<double>(facts.feed_forward) +
                   static_cast<double>(facts.expert_feed_forward * facts.experts_used);
  return part;
}

Workload::Compute compute_of(const model::ModelFacts& model, const Usage& usage, int micro_batch) {
  model::MemoryQuestion whole = question_for(usage, micro_batch);
  whole.layer_count = model.n_layers();
  Workload::Compute compute;
  for (const bool has_head : {true, false}) {
    whole.has_head = has_head;
    (has_head ? compute.with_head : compute.without) = model::memory_need(model, whole).compute;
  }
  return compute;
}

/// Each has its own keys and values: the least that any layer has.
int kv_heads_of(const model::ModelFacts& model) {
  std::uint64_t least = 0;
  for (const model::LayerFacts& layer : model.layer_facts) {
    if (!layer.has_attention()) continue;
    const std::uint64_t heads = layer.key_length > 0 ? layer.key_width / layer.key_length : 0;
    least = least == 0 ? heads : std::min(least, heads);
  }
  return static_cast<int>(std::min<std::uint64_t>(least, 1U << 20U));
}

Part head_part(const model::ModelFacts& model) {
  Part head;
  head.weights = model.head;
  head.active.push_back(
      {model::lower_case(model.head_type), static_cast<double>(model.head.count),
       static_cast<double>(model.embedding_length) * static_cast<double>(model.vocabulary)});
  head.nodes = kNodesOfHead;
  return head;
}

}  // namespace

Usage usage_of(const Plan& plan) {
  Usage usage;
  usage.context = plan.context;
  usage.parallel = plan.parallel;
  usage.kv = plan.kv;
  usage.depth = std::min(usage.depth, plan.context);
  usage.data_path = plan.data_path;
  usage.guesses = plan.speculation.is_on();
  return usage;
}

Workload workload_of(const model::ModelFacts& model, const Usage& usage) {
  Workload work;
  const model::MemoryQuestion question = question_for(usage, kUsualMicroBatch);
  work.model = model.name;
  for (std::size_t i = 0; i < model.n_layers(); ++i)
    work.layers.push_back(layer_part(model, i, usage, question));
  work.head = head_part(model);
  work.on_master = model.embedding + model.other;
  if (!model.tied_head) work.head_on_master = model.head;
  work.width = static_cast<double>(model.embedding_length);
  work.vocabulary = static_cast<double>(model.vocabulary);
  work.weights = model.weights();
  work.kv_heads = kv_heads_of(model);
  work.recurrent = std::any_of(model.layer_facts.begin(), model.layer_facts.end(),
                               [](const model::LayerFacts& layer) { return layer.is_recurrent(); });
  if (usage.guesses && !work.recurrent) work.guesses = memory_of_guesses(work.vocabulary, usage.parallel);
  work.compute = compute_of(model, usage, kUsualMicroBatch);
  work.small_compute = compute_of(model, usage, kOverlappingMicroBatch);
  return work;
}

}  // namespace caravan::plan
