// Models and devices for the planner's tests.
#pragma once

#include <string>

#include "plan/cluster.h"

namespace caravan::plan::testing_support {

/// A plain transformer, all of one type with 4.5 bits a weight, tied head.
inline model::ModelFacts transformer(int layers, Bytes layer, Bytes embedding, std::uint64_t width = 1024) {
  model::ModelFacts model;
  model.name = "test-model";
  model.quantization = "Q4_0";
  const auto n = static_cast<std::size_t>(layers);
  const auto share = [](Bytes bytes) {
    return model::TypeShare{"q4_0", 7, static_cast<std::uint64_t>(static_cast<double>(bytes.count) / 4.5 * 8),
                            bytes};
  };
  model.layers.assign(n, layer);
  model.layer_types.assign(n, {share(layer)});
  model::LayerFacts facts;
  facts.key_width = facts.value_width = width / 4;
  facts.query_width = width;
  facts.heads = 16;
  facts.feed_forward = 3 * width;
  model.layer_facts.assign(n, facts);
  model.embedding = model.head = embedding;
  model.tied_head = true;
  model.head_type = "q4_0";
  model.embedding_length = width;
  model.vocabulary = 32000;
  model.context_length = 8192;
  model.types = {share(Bytes{layer.count * n + embedding.count})};
  model.parameters = model.types.front().parameters;
  return model;
}

/// `rate`: GB/s of decode.
inline DeviceProfile device(const std::string& name, Bytes memory, double rate) {
  DeviceProfile profile;
  profile.name = name;
  profile.memory = memory;
  profile.threads = 4;
  profile.kernels["q4_0"] = {rate * 1e9, rate * 1.2e9, rate * 5e9, rate * 1e10};
  profile.node_seconds = 2e-6;
  profile.attention = rate * 1e9;
  profile.attention_prefill = rate * 4e9;
  profile.elements = rate * 1e9;
  return profile;
}

inline Cluster cluster(std::vector<DeviceProfile> devices, double round_trip = 0.0047,
                       double megabits = 190) {
  return Cluster{std::move(devices), {round_trip, megabits * 1e6 / 8}, {}};
}

}  // namespace caravan::plan::testing_support
