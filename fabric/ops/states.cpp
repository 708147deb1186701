// Operations of recurrent models: short convolutions and state-space scans.
#include "fabric/ops/shapes.h"

namespace caravan::fabric::ops {
namespace {

/// Rows follow each other, also a single one: the kernels go by the length of rows.
bool packed_matrices(const ggml_tensor* tensor) {
  return packed_rows(tensor) && tensor->nb[1] == ggml_row_size(tensor->type, tensor->ne[0]);
}

}  // namespace

Why ssm_conv(const ggml_tensor& node) {
  if (!has_sources(node, 2)) return kSources;
  const ggml_tensor* x = node.src[0];
  const ggml_tensor* weight = node.src[1];
  if (!is(x, GGML_TYPE_F32) || !is(weight, GGML_TYPE_F32) || !is(&node, GGML_TYPE_F32)) return kTypes;
  if (x->ne[3] != 1 || weight->ne[2] != 1 || weight->ne[3] != 1 || node.ne[3] != 1 ||
      x->ne[1] != weight->ne[1] || node.ne[0] != x->ne[1] || node.ne[1] != x->ne[0] - weight->ne[0] + 1 ||
      node.ne[2] != x->ne[2])
    return kShapes;
  return packed_matrices(x) && packed(weight) && as_new(&node) ? nullptr : kStrides;
}

Why ssm_scan(const ggml_tensor& node) {
  if (!has_sources(node, 7)) return kSources;
  const ggml_tensor* state = node.src[0];
  const ggml_tensor* x = node.src[1];
  const ggml_tensor* dt = node.src[2];
  const ggml_tensor* a = node.src[3];
  const ggml_tensor* b = node.src[4];
  const ggml_tensor* c = node.src[5];
  const ggml_tensor* ids = node.src[6];
  for (const ggml_tensor* each : {state, x, dt, a, b, c, &node}) {
    if (!is(each, GGML_TYPE_F32)) return kTypes;
  }
  if (!is(ids, GGML_TYPE_I32)) return kTypes;
  // Several kept states are for undoing guesses.
  if (node.op_params[0] != 1) return kParameters;
  const bool states = state->ne[1] == x->ne[0] && state->ne[2] == x->ne[1];
  const bool steps =
      dt->ne[0] == x->ne[1] && dt->ne[1] == x->ne[2] && dt->ne[2] == x->ne[3] && dt->ne[3] == 1;
  const bool decay =
      (a->ne[0] == 1 || a->ne[0] == state->ne[0]) && a->ne[1] == x->ne[1] && a->ne[2] == 1 && a->ne[3] == 1;
  const bool inputs = b->ne[0] == state->ne[0] && divides(b->ne[1], x->ne[1]) && b->ne[2] == x->ne[2] &&
                      b->ne[3] == x->ne[3] && same_dims(b, c);
  if (!states || !steps || !decay || !inputs || ids->ne[0] != x->ne[3] || ggml_nrows(ids) != 1)
    return kShapes;
  // In floating point, which does not overflow: the sizes of rows are exact in it.
  const double kept = static_cast<double>(state->ne[0]) * static_cast<double>(state->ne[1]) *
                      static_cast<double>(state->ne[2]) * static_cast<double>(x->ne[3]);
  if (static_cast<double>(node.ne[0]) != static_cast<double>(ggml_nelements(x)) + kept ||
      ggml_nrows(&node) != 1)
    return kShapes;
  const bool in_order = as_new(state) && packed_matrices(x) && as_new(dt) && as_new(a) &&
                        packed_matrices(b) && packed_matrices(c) && packed_rows(ids) && as_new(&node);
  return in_order ? nullptr : kStrides;
}

}  // namespace caravan::fabric::ops
