// Operations that multiply: matrix products, attention, rotation.
#include <climits>
#include <ggml-cpu.h>

#include "fabric/ops/shapes.h"

namespace caravan::fabric::ops {
namespace {

constexpr Why kTooMuch = "would take too long";

double count(const ggml_tensor* tensor) {
  double all = 1;
  for (const std::int64_t n : tensor->ne) all *= static_cast<double>(n);
  return all;
}

/// Rows of `weights` can be multiplied with rows of `input` of the same length.
Why multiplies(const ggml_tensor* weights, const ggml_tensor* input) {
  const auto* traits = ggml_get_type_traits_cpu(weights->type);
  if (traits->vec_dot == nullptr) return kTypes;
  const ggml_type other = traits->vec_dot_type;
  if (input->type == other) return nullptr;
  if (!is(input, GGML_TYPE_F32) || ggml_get_type_traits_cpu(other)->from_float == nullptr) return kTypes;
  return input->ne[0] % ggml_blck_size(other) == 0 ? nullptr : kShapes;
}

/// The fast transform goes by the length of rows alone.
Why hadamard(const ggml_tensor* a, const ggml_tensor* b) {
  if (!is(a, GGML_TYPE_F32) || (!is(b, GGML_TYPE_F32) && !is(b, GGML_TYPE_F16))) return kTypes;
  const std::int64_t n = b->ne[0];
  return a->ne[0] == n && a->ne[1] == n && (n & (n - 1)) == 0 ? nullptr : kShapes;
}

struct Rotation {
  std::int64_t dims;
  int mode;
  std::int64_t offset;
  const std::int32_t* sections;
};

Why rotation_parameters(const ggml_tensor& node, const Rotation& how) {
  if (how.dims <= 0 || how.dims % 2 != 0 || how.offset < 0 || how.offset % 2 != 0 || node.ne[0] % 2 != 0 ||
      how.offset + how.dims > node.ne[0])
    return kParameters;
  const bool known = how.mode == GGML_ROPE_TYPE_NORMAL || how.mode == GGML_ROPE_TYPE_NEOX ||
                     how.mode == GGML_ROPE_TYPE_MROPE || how.mode == GGML_ROPE_TYPE_IMROPE ||
                     how.mode == GGML_ROPE_TYPE_VISION;
  if (!known) return kParameters;
  if (how.mode == GGML_ROPE_TYPE_VISION && (how.dims != node.ne[0] / 2 || how.offset != 0))
    return kParameters;
  if ((how.mode & GGML_ROPE_TYPE_MROPE) == 0) return nullptr;
  std::int64_t all = 0;
  bool any = false;
  for (int i = 0; i < 4; ++i) {
    if (how.sections[i] < 0) return kParameters;
    all += how.sections[i];
    any = any || (i < 3 && how.sections[i] > 0);
  }
  return any && all <= node.ne[0] ? nullptr : kParameters;
}

}  // namespace

Why mul_mat(const ggml_tensor& node) {
  if (!has_sources(node, 2)) return kSources;
  const ggml_tensor* a = node.src[0];
  const ggml_tensor* b = node.src[1];
  if (!is(&node, GGML_TYPE_F32)) return kTypes;
  if (node.op_params[1] == GGML_HINT_SRC0_IS_HADAMARD) {
    if (const Why why = hadamard(a, b)) return why;
  } else if (node.op_params[1] != 0) {
    return "has a hint that a worker does not know";
  }
  if (a->ne[0] != b->ne[0] || node.ne[0] != a->ne[1] || node.ne[1] != b->ne[1] || !same_dims(&node, b, 2) ||
      !divides(a->ne[2], b->ne[2]) || !divides(a->ne[3], b->ne[3]))
    return kShapes;
  if (const Why why = multiplies(a, b)) return why;
  if (!packed_rows(a) || !packed_rows(b) || !as_new(&node)) return kStrides;
  return count(&node) * static_cast<double>(a->ne[0]) <= kMaxWork ? nullptr : kTooMuch;
}

Why mul_mat_id(const ggml_tensor& node) {
  if (!has_sources(node, 3)) return kSources;
  const ggml_tensor* a = node.src[0];
  const ggml_tensor* b = node.src[1];
  const ggml_tensor* ids = node.src[2];
  if (!is(&node, GGML_TYPE_F32) || !is(b, GGML_TYPE_F32) || !is(ids, GGML_TYPE_I32)) return kTypes;
  if (a->ne[3] != 1 || b->ne[3] != 1 || ids->ne[2] != 1 || ids->ne[3] != 1 || ids->ne[1] != b->ne[2] ||
      a->ne[0] != b->ne[0] || !divides(b->ne[1], ids->ne[0]) || ids->ne[0] > a->ne[2])
    return kShapes;
  if (node.ne[0] != a->ne[1] || node.ne[1] != ids->ne[0] || node.ne[2] != b->ne[2] || node.ne[3] != 1)
    return kShapes;
  if (const Why why = multiplies(a, b)) return why;
  if (!packed_rows(a) || !packed_rows(b) || !as_new(&node)) return kStrides;
  return count(&node) * static_cast<double>(a->ne[0]) <= kMaxWork ? nullptr : kTooMuch;
}

Why soft_max(const ggml_tensor& node) {
  const ggml_tensor* source = node.src[0];
  const ggml_tensor* mask = node.src[1];
  const ggml_tensor* sinks = node.src[2];
  for (int i = 3; i < GGML_MAX_SRC; ++i) {
    if (node.src[i] != nullptr) return kSources;
  }
  if (source == nullptr) return kSources;
  if (!is(source, GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  if (!same_dims(source, &node)) return kShapes;
  if (!packed_rows(source) || !packed(&node)) return kStrides;
  if (mask != nullptr) {
    if (!is(mask, GGML_TYPE_F16) && !is(mask, GGML_TYPE_F32)) return kTypes;
    if (mask->ne[0] != source->ne[0] || mask->ne[1] < source->ne[1] || !divides(mask->ne[2], source->ne[2]) ||
        !divides(mask->ne[3], source->ne[3]))
      return kShapes;
    if (!packed_rows(mask)) return kStrides;
  }
  if (sinks == nullptr) return nullptr;
  if (!is(sinks, GGML_TYPE_F32)) return kTypes;
  if (sinks->ne[0] != source->ne[2]) return kShapes;
  return packed_rows(sinks) ? nullptr : kStrides;
}

Why rope(const ggml_tensor& node) {
  const ggml_tensor* factors = node.src[2];
  if (!has_sources(node, factors != nullptr ? 3 : 2)) return kSources;
  const ggml_tensor* source = node.src[0];
  const ggml_tensor* places = node.src[1];
  if (!is(source, GGML_TYPE_F32) && !is(source, GGML_TYPE_F16)) return kTypes;
  if (node.type != source->type || !is(places, GGML_TYPE_I32)) return kTypes;
  const Rotation how{node.op_params[1], node.op_params[2], node.op_params[15], node.op_params + 11};
  if (const Why why = rotation_parameters(node, how)) return why;
  const std::int64_t places_each = (how.mode & GGML_ROPE_TYPE_MROPE) != 0 ? 4 : 1;
  if (!same_dims(source, &node) || places->ne[0] < node.ne[2] * places_each) return kShapes;
  if (!packed_rows(source) || !packed_rows(&node) || !packed_rows(places)) return kStrides;
  if (factors == nullptr) return nullptr;
  if (!is(factors, GGML_TYPE_F32)) return kTypes;
  if (factors->ne[0] < how.dims / 2) return kShapes;
  return packed_rows(factors) ? nullptr : kStrides;
}

namespace {

Why attention_extras(const ggml_tensor& node) {
  const ggml_tensor* q = node.src[0];
  const ggml_tensor* k = node.src[1];
  const ggml_tensor* mask = node.src[3];
  const ggml_tensor* sinks = node.src[4];
  if (mask != nullptr) {
    if (!is(mask, GGML_TYPE_F16)) return kTypes;
    if (mask->ne[0] < k->ne[1] || mask->ne[1] < q->ne[1] || !divides(mask->ne[2], q->ne[2]) ||
        !divides(mask->ne[3], q->ne[3]))
      return kShapes;
    if (!packed_rows(mask)) return kStrides;
  }
  if (sinks == nullptr) return nullptr;
  if (!is(sinks, GGML_TYPE_F32)) return kTypes;
  if (sinks->ne[0] < q->ne[2]) return kShapes;
  return packed_rows(sinks) ? nullptr : kStrides;
}

}  // namespace

Why flash_attention(const ggml_tensor& node) {
  const ggml_tensor* q = node.src[0];
  const ggml_tensor* k = node.src[1];
  const ggml_tensor* v = node.src[2];
  if (q == nullptr || k == nullptr || v == nullptr) return kSources;
  for (int i = 5; i < GGML_MAX_SRC; ++i) {
    if (node.src[i] != nullptr) return kSources;
  }
  if (!is(q, GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  if (!is(v, GGML_TYPE_F32) && ggml_get_type_traits(v->type)->to_float == nullptr) return kTypes;
  if (const Why why = multiplies(k, q)) return why;
  if (q->ne[0] % ggml_blck_size(ggml_get_type_traits_cpu(k->type)->vec_dot_type) != 0) return kShapes;
  if (q->ne[0] != k->ne[0] || k->ne[1] != v->ne[1] || node.ne[0] != v->ne[0] || node.ne[1] != q->ne[2] ||
      node.ne[2] != q->ne[1] || node.ne[3] != q->ne[3])
    return kShapes;
  for (const ggml_tensor* each : {k, v}) {
    if (!divides(each->ne[2], q->ne[2]) || !divides(each->ne[3], q->ne[3])) return kShapes;
  }
  if (node.op_params[3] != GGML_PREC_DEFAULT && node.op_params[3] != GGML_PREC_F32) return kParameters;
  if (!packed_rows(q) || !packed_rows(k) || !packed_rows(v) || !as_new(&node)) return kStrides;
  if (const Why why = attention_extras(node)) return why;
  const double products =
      count(q) * static_cast<double>(k->ne[1] + 1) + count(&node) * static_cast<double>(k->ne[1] + 1);
  return products <= kMaxWork ? nullptr : kTooMuch;
}

}  // namespace caravan::fabric::ops
