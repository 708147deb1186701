#include "model/quantization.h"

#include <algorithm>
#include <array>

namespace caravan::model {
namespace {

constexpr std::array<Quantization, 7> kQuantizations{{{"Q8_0", GGML_TYPE_Q8_0, 0.0026},
                                                      {"Q6_K", GGML_TYPE_Q6_K, 0.0217},
                                                      {"Q5_K_M", GGML_TYPE_Q5_K, 0.0569},
                                                      {"Q4_K_M", GGML_TYPE_Q4_K, 0.1754},
                                                      {"Q4_0", GGML_TYPE_Q4_0, 0.4685},
                                                      {"Q3_K_M", GGML_TYPE_Q3_K, 0.6569},
                                                      {"Q2_K", GGML_TYPE_Q2_K, 3.5199}}};

/// Eight experts are a case of their own in the quantizer: Mixtral's.
constexpr std::uint64_t kExpertsOfMixtral = 8;

/// The first and last eighth of the layers, and each third one between.
bool gets_more_bits(std::uint64_t layer, std::uint64_t layers) {
  const std::uint64_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

ggml_type type_of_value(const Quantization& quantization, const ModelShape& shape, std::uint64_t layer) {
  ggml_type type = quantization.type;
  const bool many_share = shape.heads / shape.kv_heads >= 4;
  if (type == GGML_TYPE_Q2_K) {
    type = many_share ? GGML_TYPE_Q4_K : GGML_TYPE_Q3_K;
  } else if (type == GGML_TYPE_Q3_K) {
    type = layer < 2 ? GGML_TYPE_Q5_K : GGML_TYPE_Q4_K;
  } else if ((type == GGML_TYPE_Q4_K || type == GGML_TYPE_Q5_K) && gets_more_bits(layer, shape.layers)) {
    type = GGML_TYPE_Q6_K;
  }
  const bool is_70b = shape.layers == 80 && shape.heads != shape.kv_heads;
  if (is_70b && (type == GGML_TYPE_Q3_K || type == GGML_TYPE_Q4_K)) type = GGML_TYPE_Q5_K;
  return shape.experts == kExpertsOfMixtral ? GGML_TYPE_Q8_0 : type;
}

ggml_type type_of_down(const Quantization& quantization, const ModelShape& shape, std::uint64_t layer) {
  const ggml_type type = quantization.type;
  if (type == GGML_TYPE_Q2_K) return GGML_TYPE_Q3_K;
  if (type == GGML_TYPE_Q3_K) return layer < shape.layers / 16 ? GGML_TYPE_Q5_K : GGML_TYPE_Q4_K;
  const bool is_mixed = type == GGML_TYPE_Q4_K || type == GGML_TYPE_Q5_K;
  return is_mixed && gets_more_bits(layer, shape.layers) ? GGML_TYPE_Q6_K : type;
}

ggml_type type_of_output(const Quantization& quantization, const ModelShape& shape) {
  const ggml_type type = quantization.type;
  if (shape.experts == kExpertsOfMixtral) {
    const bool is_small = type == GGML_TYPE_Q2_K || type == GGML_TYPE_Q3_K || type == GGML_TYPE_Q4_K;
    return is_small ? GGML_TYPE_Q5_K : type;
  }
  if (type == GGML_TYPE_Q2_K) return GGML_TYPE_Q3_K;
  return type == GGML_TYPE_Q3_K ? GGML_TYPE_Q4_K : type;
}

/// Rows that do not consist of whole blocks get a type with smaller ones.
ggml_type fitting_type(ggml_type type, std::uint64_t columns) {
  const auto divides = [&](ggml_type candidate) {
    return columns % static_cast<std::uint64_t>(ggml_blck_size(candidate)) == 0;
  };
  if (divides(type)) return type;
  ggml_type fallback = type;
  if (type == GGML_TYPE_Q2_K || type == GGML_TYPE_Q3_K) fallback = GGML_TYPE_Q4_0;
  if (type == GGML_TYPE_Q4_K) fallback = GGML_TYPE_Q5_0;
  if (type == GGML_TYPE_Q5_K) fallback = GGML_TYPE_Q5_1;
  if (type == GGML_TYPE_Q6_K) fallback = GGML_TYPE_Q8_0;
  return divides(fallback) ? fallback : GGML_TYPE_F16;
}

ggml_type type_of_head(const Quantization& quantization, std::uint64_t columns) {
  const bool is_whole = columns % static_cast<std::uint64_t>(ggml_blck_size(quantization.type)) == 0;
  return quantization.type == GGML_TYPE_Q8_0 || !is_whole ? GGML_TYPE_Q8_0 : GGML_TYPE_Q6_K;
}

}  // namespace

std::span<const Quantization> quantizations() { return kQuantizations; }

const Quantization* find_quantization(std::string_view name) {
  const auto* found = std::find_if(kQuantizations.begin(), kQuantizations.end(),
                                   [&](const Quantization& each) { return each.name == name; });
  return found == kQuantizations.end() ? nullptr : found;
}

ggml_type type_of_tensor(const Quantization& quantization, const ModelShape& shape, TensorRole role,
                         std::uint64_t columns, std::uint64_t layer) {
  switch (role) {
    case TensorRole::vector:
    case TensorRole::router:
      return GGML_TYPE_F32;
    case TensorRole::head:
      return fitting_type(type_of_head(quantization, columns), columns);
    case TensorRole::embedding:
      return fitting_type(shape.tied ? type_of_head(quantization, columns) : quantization.type, columns);
    case TensorRole::value:
      return fitting_type(type_of_value(quantization, shape, layer), columns);
    case TensorRole::key:
      return fitting_type(shape.experts == kExpertsOfMixtral ? GGML_TYPE_Q8_0 : quantization.type, columns);
    case TensorRole::output:
      return fitting_type(type_of_output(quantization, shape), columns);
    case TensorRole::down:
      return fitting_type(type_of_down(quantization, shape, layer), columns);
    case TensorRole::matrix:
      break;
  }
  return fitting_type(quantization.type, columns);
}

}  // namespace caravan::model
