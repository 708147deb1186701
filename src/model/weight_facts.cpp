#include "model/weight_facts.h"

#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/format.h>

namespace caravan::model {
namespace {

std::vector<TypeShare> mix_of(const std::vector<GgufTensor>& tensors) {
  std::map<ggml_type, TypeShare> shares;
  for (const GgufTensor& tensor : tensors) {
    TypeShare& share = shares[tensor.type];
    share.type = ggml_type_name(tensor.type);
    ++share.tensors;
    share.parameters += tensor.weights;
    share.bytes += Bytes{tensor.bytes};
  }
  std::vector<TypeShare> mix;
  mix.reserve(shares.size());
  for (auto& [type, share] : shares) mix.push_back(std::move(share));
  std::stable_sort(mix.begin(), mix.end(),
                   [](const TypeShare& a, const TypeShare& b) { return a.bytes > b.bytes; });
  return mix;
}

}  // namespace

Result<void> weigh(const std::vector<GgufTensor>& tensors, ModelFacts& facts) {
  std::vector<std::vector<GgufTensor>> of_layer(facts.n_layers());
  const GgufTensor* embedding = nullptr;
  const GgufTensor* head = nullptr;
  for (const GgufTensor& tensor : tensors) {
    const Bytes bytes{tensor.bytes};
    facts.parameters += tensor.weights;
    if (const auto layer = layer_of_tensor(tensor.name)) {
      if (*layer >= facts.n_layers()) {
        return Error{Code::incompatible,
                     fmt::format("it has a layer {}, but says that it has {}", *layer, facts.n_layers()), ""};
      }
      facts.layers[*layer] += bytes;
      of_layer[*layer].push_back(tensor);
    } else if (tensor.name == "token_embd.weight") {
      embedding = &tensor;
    } else if (tensor.name == "output.weight") {
      head = &tensor;
    } else {
      facts.other += bytes;
    }
  }
  if (embedding == nullptr) return Error{Code::incompatible, "it has no token_embd.weight", ""};
  facts.tied_head = head == nullptr;
  if (head == nullptr) head = embedding;
  facts.embedding = Bytes{embedding->bytes};
  facts.vocabulary = embedding->rows;
  facts.head = Bytes{head->bytes};
  facts.head_type = ggml_type_name(head->type);
  facts.types = mix_of(tensors);
  facts.layer_types.clear();
  for (const auto& layer : of_layer) facts.layer_types.push_back(mix_of(layer));
  return {};
}

void add_layer_facts(const GgufKeys& keys, const std::vector<GgufTensor>& tensors,
                     const std::string& architecture, ModelFacts& facts) {
  constexpr std::uint64_t kBytesOfF16 = 2;
  facts.layer_facts = read_layer_facts(keys, tensors, architecture, facts.n_layers());
  for (const LayerFacts& layer : facts.layer_facts) {
    facts.kv_per_token.push_back(Bytes{(layer.key_width + layer.value_width) * kBytesOfF16});
    facts.experts_used = std::max(facts.experts_used, layer.experts_used);
  }
}

std::string quantization_of(std::optional<std::uint64_t> file_type, const std::vector<GgufTensor>& tensors) {
  if (file_type && !name_of_file_type(*file_type).empty()) return std::string(name_of_file_type(*file_type));
  std::map<ggml_type, int> counts;
  for (const GgufTensor& tensor : tensors) {
    if (tensor.rows > 1) ++counts[tensor.type];  // norms and biases have one row and are never quantized
  }
  const auto most = std::max_element(counts.begin(), counts.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  std::string name = ggml_type_name(most == counts.end() ? tensors.front().type : most->first);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); });
  return name;
}

}  // namespace caravan::model
