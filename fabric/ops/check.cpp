#include "fabric/ops/check.h"

#include <climits>

#include "fabric/ops/shapes.h"

namespace caravan::fabric::ops {
namespace {

using Check = Why (*)(const ggml_tensor&);

/// Null for operations that no worker takes.
Check check_of(ggml_op op) {
  switch (op) {
    case GGML_OP_ADD:
    case GGML_OP_SUB:
    case GGML_OP_MUL:
    case GGML_OP_DIV:
      return &binary;
    case GGML_OP_ADD_ID:
      return &add_id;
    case GGML_OP_SQR:
    case GGML_OP_SQRT:
    case GGML_OP_SIN:
    case GGML_OP_COS:
    case GGML_OP_LOG:
    case GGML_OP_UNARY:
      return &elementwise;
    case GGML_OP_NORM:
    case GGML_OP_RMS_NORM:
    case GGML_OP_L2_NORM:
      return &norm;
    case GGML_OP_SCALE:
      return &scale;
    case GGML_OP_CLAMP:
      return &clamp;
    case GGML_OP_GLU:
      return &glu;
    case GGML_OP_DUP:
    case GGML_OP_CPY:
    case GGML_OP_CONT:
      return &copy;
    case GGML_OP_GET_ROWS:
      return &get_rows;
    case GGML_OP_SET_ROWS:
      return &set_rows;
    case GGML_OP_REPEAT:
      return &repeat;
    case GGML_OP_CONCAT:
      return &concat;
    case GGML_OP_SUM_ROWS:
    case GGML_OP_MEAN:
      return &reduce_rows;
    case GGML_OP_CUMSUM:
      return &cumsum;
    case GGML_OP_ARGMAX:
      return &argmax;
    case GGML_OP_SUM:
      return &sum;
    case GGML_OP_PAD:
      return &pad;
    case GGML_OP_FILL:
      return &fill;
    case GGML_OP_TRI:
      return &tri;
    case GGML_OP_ARANGE:
      return &arange;
    case GGML_OP_ARGSORT:
    case GGML_OP_TOP_K:
      return &sort;
    case GGML_OP_MUL_MAT:
      return &mul_mat;
    case GGML_OP_MUL_MAT_ID:
      return &mul_mat_id;
    case GGML_OP_SOFT_MAX:
      return &soft_max;
    case GGML_OP_ROPE:
      return &rope;
    case GGML_OP_FLASH_ATTN_EXT:
      return &flash_attention;
    default:
      return nullptr;
  }
}

}  // namespace

bool is_view_only(ggml_op op) {
  return op == GGML_OP_NONE || op == GGML_OP_RESHAPE || op == GGML_OP_VIEW || op == GGML_OP_PERMUTE ||
         op == GGML_OP_TRANSPOSE;
}

const char* why_not(const ggml_tensor& node) {
  if (is_view_only(node.op)) return nullptr;
  const Check check = check_of(node.op);
  if (check == nullptr) return "is no operation that a worker takes";
  // Kernels count rows in int.
  if (ggml_nrows(&node) > INT_MAX) return "has too many rows";
  for (const ggml_tensor* source : node.src) {
    if (source == nullptr) continue;
    if (ggml_nrows(source) > INT_MAX) return "has a source of too many rows";
    if (ggml_is_empty(source) && !ggml_is_empty(&node)) return "has a source without values";
  }
  return check(node);
}

std::uint64_t reach(const ggml_tensor& node, int index) {
  // The kernel looks up a factor for each pair of values, also for those that are not rotated.
  if (node.op == GGML_OP_ROPE && index == 2)
    return static_cast<std::uint64_t>(node.ne[0]) / 2 * sizeof(float);
  return 0;
}

RowNumbers row_numbers(const ggml_tensor& node) {
  switch (node.op) {
    case GGML_OP_GET_ROWS:
      return {1, node.src[0]->ne[1], false};
    case GGML_OP_SET_ROWS:
      return {1, node.ne[1], false};
    case GGML_OP_ADD_ID:
      return {2, node.src[1]->ne[1], false};
    case GGML_OP_MUL_MAT_ID:
      return {2, node.src[0]->ne[2], true};
    default:
      return {};
  }
}

bool needs_numbers(const ggml_tensor& node) {
  // std::sort with an order that is none; up to 16 values it stays within them.
  constexpr std::int64_t kSortedByInsertion = 16;
  return node.op == GGML_OP_ARGSORT && node.ne[0] > kSortedByInsertion;
}

}  // namespace caravan::fabric::ops
