// Operations on each value by itself, and those that move, repeat, sum and sort values.
#include <cmath>

#include <climits>
#include <ggml-cpu.h>

#include "fabric/ops/shapes.h"

namespace caravan::fabric::ops {
namespace {

bool has_from_float(ggml_type type) { return ggml_get_type_traits_cpu(type)->from_float != nullptr; }
bool has_to_float(ggml_type type) { return ggml_get_type_traits(type)->to_float != nullptr; }

/// Source and result of types that the elementwise kernels know.
bool unary_types(const ggml_tensor& node) {
  return node.type == node.src[0]->type && (is(&node, GGML_TYPE_F32) || is(&node, GGML_TYPE_F16));
}

Why copy_to_blocks(const ggml_tensor& node, const ggml_tensor* source) {
  if (!is_float(source) || !has_from_float(node.type)) return kTypes;
  if (!ggml_is_contiguous(&node) || !packed_rows(source)) return kStrides;
  // The kernel's scratch is as long as a row of the result, and each row of the source is packed by itself.
  return source->ne[0] == node.ne[0] ? nullptr : kShapes;
}

Why copy_from_blocks(const ggml_tensor& node, const ggml_tensor* source) {
  if (!is(&node, GGML_TYPE_F32) || !has_to_float(source->type)) return kTypes;
  // The kernel goes by source 1, which only CPY has.
  if (node.src[1] == nullptr) return kSources;
  if (!packed_rows(&node)) return kStrides;
  const bool whole_blocks = node.ne[0] % ggml_blck_size(source->type) == 0;
  return whole_blocks || ggml_is_contiguous(&node) ? nullptr : kStrides;
}

}  // namespace

Why elementwise(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  const ggml_tensor* source = node.src[0];
  if (!unary_types(node)) return kTypes;
  if (!same_dims(source, &node)) return kShapes;
  if (!packed_rows(source) || !packed_rows(&node)) return kStrides;
  if (node.op != GGML_OP_UNARY) return nullptr;
  const int which = node.op_params[0];
  if (which < 0 || which >= GGML_UNARY_OP_COUNT) return kParameters;
  const bool even = ggml_is_contiguous_1(source) && ggml_is_contiguous_1(&node);
  return which != GGML_UNARY_OP_XIELU || even ? nullptr : kStrides;
}

Why binary(const ggml_tensor& node) {
  if (!has_sources(node, 2)) return kSources;
  const ggml_tensor* a = node.src[0];
  const ggml_tensor* b = node.src[1];
  const bool same_type = is_float(a) && b->type == a->type && node.type == a->type;
  const bool mixed = (is(a, GGML_TYPE_F16) || is(a, GGML_TYPE_BF16)) && is(b, GGML_TYPE_F32) &&
                     (node.type == a->type || is(&node, GGML_TYPE_F32));
  if (!same_type && !mixed) return kTypes;
  if (!repeats(b, a) || !same_dims(a, &node)) return kShapes;
  return packed_rows(a) && packed_rows(&node) ? nullptr : kStrides;
}

Why add_id(const ggml_tensor& node) {
  if (!has_sources(node, 3)) return kSources;
  const ggml_tensor* a = node.src[0];
  const ggml_tensor* b = node.src[1];
  const ggml_tensor* ids = node.src[2];
  if (!is(a, GGML_TYPE_F32) || !is(b, GGML_TYPE_F32) || !is(ids, GGML_TYPE_I32) || !is(&node, GGML_TYPE_F32))
    return kTypes;
  if (!same_dims(a, &node) || a->ne[0] != b->ne[0] || a->ne[1] != ids->ne[0] || a->ne[2] != ids->ne[1])
    return kShapes;
  return packed_rows(a) && packed_rows(b) && packed_rows(&node) ? nullptr : kStrides;
}

Why norm(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  if (!is(node.src[0], GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  if (!same_dims(node.src[0], &node)) return kShapes;
  if (!(float_parameter(node, 0) >= 0)) return kParameters;
  return packed_rows(node.src[0]) && packed_rows(&node) ? nullptr : kStrides;
}

Why scale(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  if (!is(node.src[0], GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  if (!same_dims(node.src[0], &node)) return kShapes;
  return packed(node.src[0]) && packed(&node) ? nullptr : kStrides;
}

Why clamp(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  if (!unary_types(node)) return kTypes;
  if (!same_dims(node.src[0], &node)) return kShapes;
  // The kernel goes from row to row by nb[1] alone.
  return packed(node.src[0]) && packed(&node) ? nullptr : kStrides;
}

Why glu(const ggml_tensor& node) {
  const bool two = node.src[1] != nullptr;
  if (!has_sources(node, two ? 2 : 1)) return kSources;
  const ggml_tensor* a = node.src[0];
  const int which = node.op_params[0];
  if (which < 0 || which >= GGML_GLU_OP_COUNT) return kParameters;
  if (!unary_types(node) || (which == GGML_GLU_OP_SWIGLU_OAI && !is(a, GGML_TYPE_F32))) return kTypes;
  if (two && node.src[1]->type != a->type) return kTypes;
  if (two && !same_dims(a, node.src[1])) return kShapes;
  if (!two && a->ne[0] % 2 != 0) return kShapes;
  if (node.ne[0] != (two ? a->ne[0] : a->ne[0] / 2) || !same_dims(a, &node, 1)) return kShapes;
  const bool even = even_rows(a) && (!two || even_rows(node.src[1]));
  return even && packed(&node) ? nullptr : kStrides;
}

Why copy(const ggml_tensor& node) {
  const ggml_tensor* source = node.src[0];
  const ggml_tensor* to = node.src[1];
  if (!has_sources(node, node.op == GGML_OP_CPY && to != nullptr ? 2 : 1)) return kSources;
  if (to != nullptr &&
      (to->type != node.type || !same_dims(to, &node) || std::memcmp(to->nb, node.nb, sizeof(node.nb)) != 0))
    return kShapes;
  if (ggml_nelements(source) != ggml_nelements(&node)) return kShapes;
  if (ggml_nelements(source) > INT_MAX) return "copies too much at once";
  const bool from_blocks = ggml_is_quantized(source->type);
  if (source->type == node.type) {
    if (!from_blocks || same_dims(source, &node)) return nullptr;
    // Otherwise the kernel takes a row of blocks for longer than it is.
    return ggml_is_contiguous(source) && ggml_is_contiguous(&node) ? nullptr : kStrides;
  }
  if (from_blocks) return copy_from_blocks(node, source);
  if (is_float(source) && is_float(&node)) return nullptr;
  if (is(source, GGML_TYPE_F32) && is(&node, GGML_TYPE_I32)) return nullptr;
  if (is(source, GGML_TYPE_I32) && is(&node, GGML_TYPE_F32)) return nullptr;
  return ggml_is_quantized(node.type) ? copy_to_blocks(node, source) : kTypes;
}

Why get_rows(const ggml_tensor& node) {
  if (!has_sources(node, 2)) return kSources;
  const ggml_tensor* rows = node.src[0];
  const ggml_tensor* ids = node.src[1];
  if (!is(ids, GGML_TYPE_I32)) return kTypes;
  const bool integers = is(rows, GGML_TYPE_I32) && is(&node, GGML_TYPE_I32);
  const bool floats = is(&node, GGML_TYPE_F32) &&
                      (is_float(rows) || (ggml_is_quantized(rows->type) && has_to_float(rows->type)));
  if ((!integers && !floats) || is(rows, GGML_TYPE_Q8_K)) return kTypes;
  if (ids->ne[3] != 1 || rows->ne[2] != ids->ne[1] || rows->ne[3] != ids->ne[2] ||
      node.ne[0] != rows->ne[0] || node.ne[1] != ids->ne[0] || node.ne[2] != ids->ne[1] ||
      node.ne[3] != ids->ne[2])
    return kShapes;
  return packed_rows(rows) && packed_rows(&node) ? nullptr : kStrides;
}

Why set_rows(const ggml_tensor& node) {
  // The third source is what the result is a view of.
  if (!has_sources(node, 3) && !has_sources(node, 2)) return kSources;
  const ggml_tensor* rows = node.src[0];
  const ggml_tensor* ids = node.src[1];
  if (!is(ids, GGML_TYPE_I32) && !is(ids, GGML_TYPE_I64)) return kTypes;
  if ((!is(rows, GGML_TYPE_F32) && !is(rows, GGML_TYPE_F16)) || !has_from_float(node.type)) return kTypes;
  if (node.ne[0] != rows->ne[0] || node.ne[2] != rows->ne[2] || node.ne[3] != rows->ne[3] ||
      rows->ne[1] != ids->ne[0] || ids->ne[3] != 1)
    return kShapes;
  if (!divides(ids->ne[1], rows->ne[2]) || !divides(ids->ne[2], rows->ne[3])) return kShapes;
  return packed_rows(rows) && packed_rows(&node) ? nullptr : kStrides;
}

Why repeat(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  const ggml_tensor* source = node.src[0];
  const bool known = is_float(source) || is(source, GGML_TYPE_I32) || is(source, GGML_TYPE_I16);
  if (node.type != source->type || !known) return kTypes;
  if (!repeats(source, &node)) return kShapes;
  return packed_rows(source) && packed_rows(&node) ? nullptr : kStrides;
}

Why concat(const ggml_tensor& node) {
  if (!has_sources(node, 2)) return kSources;
  const ggml_tensor* a = node.src[0];
  const ggml_tensor* b = node.src[1];
  const bool known = is_float(a) || is(a, GGML_TYPE_I32) || is(a, GGML_TYPE_I16) || is(a, GGML_TYPE_I8);
  if (!known || b->type != a->type || node.type != a->type) return kTypes;
  const int along = node.op_params[0];
  if (along < 0 || along >= GGML_MAX_DIMS) return kParameters;
  for (int i = 0; i < GGML_MAX_DIMS; ++i) {
    const std::int64_t wanted = i == along ? a->ne[i] + b->ne[i] : a->ne[i];
    if (node.ne[i] != wanted || (i != along && b->ne[i] != a->ne[i])) return kShapes;
  }
  return nullptr;
}

Why reduce_rows(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  if (!is(node.src[0], GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  if (node.ne[0] != 1 || !same_dims(node.src[0], &node, 1)) return kShapes;
  return packed_rows(node.src[0]) && packed_rows(&node) ? nullptr : kStrides;
}

Why cumsum(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  if (!is(node.src[0], GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  if (!same_dims(node.src[0], &node)) return kShapes;
  return packed_rows(node.src[0]) && packed_rows(&node) ? nullptr : kStrides;
}

Why argmax(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  const ggml_tensor* source = node.src[0];
  if (!is(source, GGML_TYPE_F32) || !is(&node, GGML_TYPE_I32)) return kTypes;
  if (source->ne[2] != 1 || source->ne[3] != 1 || node.ne[0] != source->ne[1] || ggml_nrows(&node) != 1)
    return kShapes;
  return packed_rows(source) && packed_rows(&node) ? nullptr : kStrides;
}

Why sort(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  const ggml_tensor* source = node.src[0];
  if (!is(source, GGML_TYPE_F32) || !is(&node, GGML_TYPE_I32)) return kTypes;
  if (!same_dims(source, &node, 1)) return kShapes;
  const bool whole = node.op == GGML_OP_ARGSORT;
  if (whole ? node.ne[0] != source->ne[0] : node.ne[0] > source->ne[0]) return kShapes;
  if (whole && node.op_params[0] != GGML_SORT_ORDER_ASC && node.op_params[0] != GGML_SORT_ORDER_DESC)
    return kParameters;
  return packed(source) && packed(&node) ? nullptr : kStrides;
}

Why sum(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  if (!is(node.src[0], GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  if (ggml_nelements(&node) != 1) return kShapes;
  return packed_rows(node.src[0]) ? nullptr : kStrides;
}

Why pad(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  if (!is(node.src[0], GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  for (std::size_t i = 0; i < GGML_MAX_DIMS; ++i) {
    const std::int64_t before = node.op_params[2 * i];
    const std::int64_t after = node.op_params[2 * i + 1];
    if (before < 0 || after < 0) return kParameters;
    if (node.ne[i] != node.src[0]->ne[i] + before + after) return kShapes;
  }
  return packed(&node) ? nullptr : kStrides;
}

Why fill(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  if (!unary_types(node)) return kTypes;
  return packed_rows(&node) ? nullptr : kStrides;
}

Why tri(const ggml_tensor& node) {
  if (!has_sources(node, 1)) return kSources;
  if (!is(node.src[0], GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  if (!same_dims(node.src[0], &node)) return kShapes;
  if (node.op_params[0] < GGML_TRI_TYPE_UPPER_DIAG || node.op_params[0] > GGML_TRI_TYPE_LOWER)
    return kParameters;
  return ggml_is_contiguous(node.src[0]) && packed_rows(&node) ? nullptr : kStrides;
}

Why arange(const ggml_tensor& node) {
  if (!has_sources(node, 0)) return kSources;
  if (!is(&node, GGML_TYPE_F32)) return kTypes;
  const float steps =
      std::ceil((float_parameter(node, 1) - float_parameter(node, 0)) / float_parameter(node, 2));
  // Not written the other way round: it may be no number.
  if (!(steps >= 0 && steps < static_cast<float>(INT_MAX))) return kParameters;
  if (ggml_nelements(&node) != static_cast<std::int64_t>(steps)) return kShapes;
  return packed(&node) ? nullptr : kStrides;
}

}  // namespace caravan::fabric::ops
