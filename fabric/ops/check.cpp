#include "fabric/ops/check.h"

#include <algorithm>
#include <array>

#include <climits>

#include "fabric/ops/shapes.h"

namespace caravan::fabric::ops {
namespace {

using Check = Why (*)(const ggml_tensor&);

struct Row {
  ggml_op op;
  Check check;
};

/// All operations that a worker takes, besides those that only look at memory in another way.
constexpr std::array kChecks{
    Row{GGML_OP_ADD, &binary},
    Row{GGML_OP_SUB, &binary},
    Row{GGML_OP_MUL, &binary},
    Row{GGML_OP_DIV, &binary},
    Row{GGML_OP_ADD_ID, &add_id},
    Row{GGML_OP_SQR, &elementwise},
    Row{GGML_OP_SQRT, &elementwise},
    Row{GGML_OP_SIN, &elementwise},
    Row{GGML_OP_COS, &elementwise},
    Row{GGML_OP_LOG, &elementwise},
    Row{GGML_OP_UNARY, &elementwise},
    Row{GGML_OP_NORM, &norm},
    Row{GGML_OP_RMS_NORM, &norm},
    Row{GGML_OP_L2_NORM, &norm},
    Row{GGML_OP_SCALE, &scale},
    Row{GGML_OP_CLAMP, &clamp},
    Row{GGML_OP_GLU, &glu},
    Row{GGML_OP_DUP, &copy},
    Row{GGML_OP_CPY, &copy},
    Row{GGML_OP_CONT, &copy},
    Row{GGML_OP_GET_ROWS, &get_rows},
    Row{GGML_OP_SET_ROWS, &set_rows},
    Row{GGML_OP_REPEAT, &repeat},
    Row{GGML_OP_CONCAT, &concat},
    Row{GGML_OP_SUM_ROWS, &reduce_rows},
    Row{GGML_OP_MEAN, &reduce_rows},
    Row{GGML_OP_CUMSUM, &cumsum},
    Row{GGML_OP_ARGMAX, &argmax},
    Row{GGML_OP_SUM, &sum},
    Row{GGML_OP_PAD, &pad},
    Row{GGML_OP_FILL, &fill},
    Row{GGML_OP_TRI, &tri},
    Row{GGML_OP_ARANGE, &arange},
    Row{GGML_OP_ARGSORT, &sort},
    Row{GGML_OP_TOP_K, &sort},
    Row{GGML_OP_SSM_CONV, &ssm_conv},
    Row{GGML_OP_SSM_SCAN, &ssm_scan},
    Row{GGML_OP_MUL_MAT, &mul_mat},
    Row{GGML_OP_MUL_MAT_ID, &mul_mat_id},
    Row{GGML_OP_SOFT_MAX, &soft_max},
    Row{GGML_OP_ROPE, &rope},
    Row{GGML_OP_FLASH_ATTN_EXT, &flash_attention},
};

/// Null for operations that no worker takes.
Check check_of(ggml_op op) {
  const auto* found =
      std::find_if(kChecks.begin(), kChecks.end(), [op](const Row& row) { return row.op == op; });
  return found != kChecks.end() ? found->check : nullptr;
}

/// Where all values are added: the engine samples behind a part of a prompt that has no logits that way. A
/// circular one would divide by the source's size.
bool is_all_padding(const ggml_tensor& node) {
  constexpr std::size_t kCircular = 8;
  return node.op == GGML_OP_PAD && node.op_params[kCircular] == 0;
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
    if (ggml_is_empty(source) && !ggml_is_empty(&node) && !is_all_padding(node))
      return "has a source without values";
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
    case GGML_OP_SSM_SCAN:
      return {6, node.src[0]->ne[3], false};
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
