// Shared by the checks of operations.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include <ggml.h>

namespace caravan::fabric::ops {

/// What does not fit, or null.
using Why = const char*;

constexpr Why kSources = "does not have the sources that it needs";
constexpr Why kTypes = "has types that do not go together";
constexpr Why kShapes = "has shapes that do not go together";
constexpr Why kStrides = "has values that do not follow each other";
constexpr Why kParameters = "has parameters that cannot be";

/// More multiplications than any node of a real model has; a node that takes hours cannot be stopped.
constexpr double kMaxWork = 4.4e12;  // 2^42

inline bool is(const ggml_tensor* tensor, ggml_type type) { return tensor->type == type; }
inline bool is_float(const ggml_tensor* tensor) {
  return is(tensor, GGML_TYPE_F32) || is(tensor, GGML_TYPE_F16) || is(tensor, GGML_TYPE_BF16);
}
/// Values (or blocks) of a row follow each other.
inline bool packed_rows(const ggml_tensor* tensor) { return tensor->nb[0] == ggml_type_size(tensor->type); }
/// Row number r of all rows begins r * nb[1] after the first. Strides of dimensions of one count too where
/// kernels go by them, which ggml_is_contiguous does not look at.
inline bool even_rows(const ggml_tensor* tensor) {
  std::size_t expected = tensor->nb[1];
  for (int i = 2; i < GGML_MAX_DIMS; ++i) {
    expected *= static_cast<std::size_t>(tensor->ne[i - 1]);
    if (tensor->ne[i] > 1 && tensor->nb[i] != expected) return false;
  }
  return packed_rows(tensor);
}
/// All values follow each other.
inline bool packed(const ggml_tensor* tensor) {
  return even_rows(tensor) &&
         (ggml_nrows(tensor) <= 1 || tensor->nb[1] == ggml_row_size(tensor->type, tensor->ne[0]));
}
/// As the engine makes new tensors: each stride follows from those before it.
inline bool as_new(const ggml_tensor* tensor) {
  return packed_rows(tensor) && tensor->nb[1] == ggml_row_size(tensor->type, tensor->ne[0]) &&
         tensor->nb[2] == tensor->nb[1] * static_cast<std::size_t>(tensor->ne[1]) &&
         tensor->nb[3] == tensor->nb[2] * static_cast<std::size_t>(tensor->ne[2]);
}
inline bool same_dims(const ggml_tensor* a, const ggml_tensor* b, int from = 0) {
  for (int i = from; i < GGML_MAX_DIMS; ++i) {
    if (a->ne[i] != b->ne[i]) return false;
  }
  return true;
}
/// Nothing is a whole number of nothings: graphs without rows occur.
inline bool divides(std::int64_t part, std::int64_t whole) {
  return part > 0 ? whole % part == 0 : whole == 0;
}
inline bool repeats(const ggml_tensor* small, const ggml_tensor* large, int from = 0) {
  for (int i = from; i < GGML_MAX_DIMS; ++i) {
    if (!divides(small->ne[i], large->ne[i])) return false;
  }
  return true;
}
inline float float_parameter(const ggml_tensor& node, int index) {
  float value = 0;
  std::memcpy(&value, node.op_params + index, sizeof(value));
  return value;
}
/// The node has exactly its first `count` sources.
inline bool has_sources(const ggml_tensor& node, int count) {
  for (int i = 0; i < GGML_MAX_SRC; ++i) {
    if ((node.src[i] != nullptr) != (i < count)) return false;
  }
  return true;
}

Why elementwise(const ggml_tensor& node);
Why binary(const ggml_tensor& node);
Why add_id(const ggml_tensor& node);
Why norm(const ggml_tensor& node);
Why scale(const ggml_tensor& node);
Why clamp(const ggml_tensor& node);
Why glu(const ggml_tensor& node);
Why copy(const ggml_tensor& node);
Why get_rows(const ggml_tensor& node);
Why set_rows(const ggml_tensor& node);
Why repeat(const ggml_tensor& node);
Why concat(const ggml_tensor& node);
Why reduce_rows(const ggml_tensor& node);
Why cumsum(const ggml_tensor& node);
Why argmax(const ggml_tensor& node);
Why sum(const ggml_tensor& node);
Why pad(const ggml_tensor& node);
Why fill(const ggml_tensor& node);
Why tri(const ggml_tensor& node);
Why arange(const ggml_tensor& node);
Why sort(const ggml_tensor& node);
Why ssm_conv(const ggml_tensor& node);
Why ssm_scan(const ggml_tensor& node);
Why mul_mat(const ggml_tensor& node);
Why mul_mat_id(const ggml_tensor& node);
Why soft_max(const ggml_tensor& node);
Why rope(const ggml_tensor& node);
Why flash_attention(const ggml_tensor& node);

}  // namespace caravan::fabric::ops
