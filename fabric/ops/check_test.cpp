#include "fabric/ops/check.h"

#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace caravan::fabric::ops {
namespace {

struct Deleter {
  void operator()(ggml_context* context) const { ggml_free(context); }
};

/// Makes tensors without data.
class Ops : public ::testing::Test {
 protected:
  ggml_context* c() const { return context_.get(); }
  ggml_tensor* make(ggml_type type, std::int64_t n0, std::int64_t n1 = 1, std::int64_t n2 = 1) const {
    return ggml_new_tensor_3d(c(), type, n0, n1, n2);
  }
  ggml_tensor* f32(std::int64_t n0, std::int64_t n1 = 1, std::int64_t n2 = 1) const {
    return make(GGML_TYPE_F32, n0, n1, n2);
  }
  ggml_tensor* i32(std::int64_t n0, std::int64_t n1 = 1) const { return make(GGML_TYPE_I32, n0, n1); }

  std::unique_ptr<ggml_context, Deleter> context_{ggml_init({std::size_t{1} << 20U, nullptr, true})};
};

void expect_taken(const ggml_tensor* node) {
  EXPECT_EQ(why_not(*node), nullptr) << ggml_op_name(node->op) << " " << why_not(*node);
}

/// `change` makes what was taken something that is not.
void expect_refused(ggml_tensor* node, const std::function<void(ggml_tensor&)>& change) {
  expect_taken(node);
  change(*node);
  EXPECT_NE(why_not(*node), nullptr) << ggml_op_name(node->op);
}

TEST_F(Ops, WhatModelsAreMadeOfIsTaken) {
  ggml_tensor* x = f32(64, 3);
  ggml_tensor* q = ggml_permute(c(), f32(32, 4, 3), 0, 2, 1, 3);
  ggml_tensor* k = ggml_permute(c(), make(GGML_TYPE_F16, 32, 2, 16), 0, 2, 1, 3);
  ggml_tensor* mask = make(GGML_TYPE_F16, 16, 3);
  const std::vector<ggml_tensor*> nodes{
      ggml_add(c(), x, f32(64)),
      ggml_mul(c(), ggml_permute(c(), f32(64, 2, 3), 0, 2, 1, 3), f32(1)),
      ggml_rms_norm(c(), x, 1e-6F),
      ggml_norm(c(), ggml_view_2d(c(), f32(128, 3), 64, 3, 512, 0), 1e-6F),
      ggml_mul_mat(c(), make(GGML_TYPE_Q4_K, 256, 8), f32(256, 3)),
      ggml_mul_mat(c(), k, q),
      ggml_mul_mat(c(), make(GGML_TYPE_BF16, 64, 8), x),
      ggml_mul_mat_id(c(), make(GGML_TYPE_Q8_0, 64, 8, 4), f32(64, 1, 3), i32(2, 3)),
      ggml_soft_max_ext(c(), f32(16, 3, 4), mask, 1, 0),
      ggml_flash_attn_ext(c(), q, k, k, mask, 1, 0, 0),
      ggml_rope_ext(c(), f32(32, 4, 3), i32(3), f32(16), 32, GGML_ROPE_TYPE_NORMAL, 0, 1e4F, 1, 0, 1, 1, 1),
      ggml_get_rows(c(), make(GGML_TYPE_Q6_K, 256, 9), i32(3)),
      ggml_set_rows(c(), make(GGML_TYPE_F16, 64, 9), x, make(GGML_TYPE_I64, 3)),
      ggml_cpy(c(), x, make(GGML_TYPE_Q8_0, 64, 3)),
      ggml_cast(c(), x, GGML_TYPE_F16),
      ggml_cont(c(), ggml_transpose(c(), x)),
      ggml_swiglu(c(), x),
      ggml_geglu_split(c(), x, f32(64, 3)),
      ggml_silu(c(), ggml_view_2d(c(), f32(128, 3), 64, 3, 512, 0)),
      ggml_scale(c(), x, 2),
      ggml_clamp(c(), x, 0, 1),
      ggml_argsort(c(), x, GGML_SORT_ORDER_DESC),
      ggml_top_k(c(), x, 4),
      ggml_sum_rows(c(), x),
      ggml_repeat_4d(c(), f32(64), 64, 3, 2, 1),
      ggml_concat(c(), x, f32(64, 5), 1),
      ggml_cumsum(c(), x),
      ggml_argmax(c(), x),
      ggml_pad(c(), x, 3, 2, 1, 0),
      ggml_pad(c(), f32(64, 0), 0, 1, 0, 0),
      ggml_arange(c(), 0, 5, 1),
      ggml_add(c(), f32(64, 0), f32(64, 0)),
      ggml_mul_mat(c(), make(GGML_TYPE_Q4_0, 64, 8), f32(64, 0)),
      ggml_get_rows(c(), x, i32(0)),
  };
  for (const ggml_tensor* node : nodes) expect_taken(node);
}

TEST_F(Ops, RecurrentModelsAreTaken) {
  expect_refused(ggml_ssm_conv(c(), f32(6, 8), f32(4, 8)), [](ggml_tensor& t) { t.src[1]->ne[0] = 5; });
  const auto scan = [this] {
    ggml_tensor* b = f32(16, 2, 3);
    return ggml_ssm_scan(c(), ggml_new_tensor_4d(c(), GGML_TYPE_F32, 16, 8, 4, 5), f32(8, 4, 3), f32(4, 3),
                         f32(1, 4), b, b, i32(1), 1);
  };
  EXPECT_EQ(row_numbers(*scan()).source, 6);
  EXPECT_EQ(row_numbers(*scan()).limit, 5);
  expect_refused(scan(), [](ggml_tensor& t) { t.op_params[0] = 2; });
  expect_refused(scan(), [](ggml_tensor& t) { t.src[4]->ne[1] = 3; });
  expect_refused(scan(), [](ggml_tensor& t) { --t.ne[0]; });
  expect_refused(scan(), [](ggml_tensor& t) { t.src[3]->nb[1] = 64; });
}

TEST_F(Ops, UnknownOperationsAreRefused) {
  ggml_tensor* node = ggml_scale(c(), f32(4), 1);
  for (const ggml_op op : {GGML_OP_MAP_CUSTOM1, GGML_OP_CUSTOM, GGML_OP_CONV_2D, GGML_OP_COUNT}) {
    node->op = op;
    EXPECT_NE(why_not(*node), nullptr);
  }
}

TEST_F(Ops, SourcesThatAreMissingAreSeen) {
  for (ggml_tensor* node : {ggml_add(c(), f32(4), f32(4)), ggml_mul_mat(c(), f32(4), f32(4)),
                            ggml_scale(c(), f32(4), 1), ggml_get_rows(c(), f32(4), i32(1)),
                            ggml_soft_max(c(), f32(4)), ggml_cont(c(), f32(4)), ggml_swiglu(c(), f32(4))}) {
    expect_refused(node, [](ggml_tensor& t) { t.src[0] = nullptr; });
  }
}

TEST_F(Ops, TypesThatDoNotGoTogetherAreSeen) {
  expect_refused(ggml_add(c(), f32(4), f32(4)), [](ggml_tensor& t) { t.type = GGML_TYPE_F16; });
  expect_refused(ggml_mul_mat(c(), f32(4), f32(4)), [](ggml_tensor& t) { t.src[0]->type = GGML_TYPE_I32; });
  expect_refused(ggml_cont(c(), i32(4)), [](ggml_tensor& t) { t.type = GGML_TYPE_F16; });
  expect_refused(ggml_rms_norm(c(), f32(4), 0), [](ggml_tensor& t) { t.src[0]->type = GGML_TYPE_I32; });
  expect_refused(ggml_get_rows(c(), f32(4), i32(1)), [](ggml_tensor& t) { t.src[1]->type = GGML_TYPE_F32; });
}

TEST_F(Ops, ParametersThatCannotBeAreSeen) {
  expect_refused(ggml_rms_norm(c(), f32(4), 0), [](ggml_tensor& t) {
    const float no_number = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(t.op_params, &no_number, sizeof(no_number));
  });
  const auto rope = [this] { return ggml_rope(c(), f32(32, 4, 3), i32(3), 32, GGML_ROPE_TYPE_NEOX); };
  expect_refused(rope(), [](ggml_tensor& t) { t.op_params[1] = 34; });
  expect_refused(rope(), [](ggml_tensor& t) { t.op_params[1] = 0; });
  expect_refused(rope(), [](ggml_tensor& t) { t.op_params[2] = 5; });
  expect_refused(rope(), [](ggml_tensor& t) { t.op_params[15] = INT32_MAX - 1; });
  expect_refused(rope(), [](ggml_tensor& t) { t.op_params[2] = GGML_ROPE_TYPE_MROPE; });
  expect_refused(ggml_silu(c(), f32(4)), [](ggml_tensor& t) { t.op_params[0] = GGML_UNARY_OP_COUNT; });
  expect_refused(ggml_pad(c(), f32(64, 0), 0, 1, 0, 0), [](ggml_tensor& t) { t.op_params[8] = 1; });
  expect_refused(ggml_swiglu(c(), f32(4)), [](ggml_tensor& t) { t.op_params[0] = -1; });
  expect_refused(ggml_argsort(c(), f32(4), GGML_SORT_ORDER_ASC), [](ggml_tensor& t) { t.op_params[0] = 2; });
  expect_refused(ggml_concat(c(), f32(4), f32(4), 0), [](ggml_tensor& t) { t.op_params[0] = 4; });
  expect_refused(ggml_arange(c(), 0, 5, 1), [](ggml_tensor& t) { t.op_params[2] = 0; });
  expect_refused(ggml_mul_mat(c(), f32(4, 3), f32(4)), [](ggml_tensor& t) { t.op_params[1] = 1; });
}

TEST_F(Ops, ShapesThatDoNotGoTogetherAreSeen) {
  expect_refused(ggml_add(c(), f32(4, 3), f32(4)), [](ggml_tensor& t) { t.src[1]->ne[0] = 3; });
  expect_refused(ggml_mul_mat(c(), f32(4, 3), f32(4)), [](ggml_tensor& t) { t.src[0]->ne[0] = 8; });
  expect_refused(ggml_mul_mat(c(), f32(4, 3), f32(4)), [](ggml_tensor& t) { t.ne[1] = 2; });
  expect_refused(ggml_soft_max_ext(c(), f32(16, 3), make(GGML_TYPE_F16, 16, 3), 1, 0),
                 [](ggml_tensor& t) { t.src[1]->ne[1] = 2; });
  expect_refused(ggml_mul_mat_id(c(), f32(4, 3, 2), f32(4, 1, 3), i32(2, 3)),
                 [](ggml_tensor& t) { t.src[0]->ne[2] = 1; });
  expect_refused(ggml_cpy(c(), f32(64), make(GGML_TYPE_Q8_0, 64)), [](ggml_tensor& t) {
    t.ne[0] = 32;
    t.ne[1] = 2;
  });
  expect_refused(ggml_rope(c(), f32(32, 4, 3), i32(3), 32, 0), [](ggml_tensor& t) { t.src[1]->ne[0] = 2; });
  expect_refused(ggml_add(c(), f32(4), f32(4)), [](ggml_tensor& t) { t.src[1]->ne[1] = 0; });
}

TEST_F(Ops, StridesOfDimensionsOfOneCountWhereKernelsGoByThem) {
  ggml_tensor* attention = ggml_flash_attn_ext(c(), f32(32, 3), make(GGML_TYPE_F16, 32, 16),
                                               make(GGML_TYPE_F16, 32, 16), nullptr, 1, 0, 0);
  expect_refused(attention, [](ggml_tensor& t) { t.nb[1] = 1U << 20U; });
  expect_refused(ggml_scale(c(), f32(4, 1, 3), 1), [](ggml_tensor& t) { t.nb[1] = 1U << 20U; });
  expect_refused(ggml_mul_mat(c(), f32(4, 3), f32(4)), [](ggml_tensor& t) { t.nb[3] = 4; });
}

TEST_F(Ops, WorkThatNeverEndsIsRefused) {
  expect_refused(ggml_mul_mat(c(), f32(1 << 16, 1 << 13), f32(1 << 16, 1 << 12)), [](ggml_tensor& t) {
    t.src[1]->ne[1] = t.ne[1] = 1 << 14;
    t.nb[2] = t.nb[3] = t.nb[1] << 14U;
  });
}

TEST_F(Ops, RowNumbersAndTheirLimits) {
  const RowNumbers rows = row_numbers(*ggml_get_rows(c(), f32(4, 9), i32(3)));
  EXPECT_EQ(rows.source, 1);
  EXPECT_EQ(rows.limit, 9);
  const RowNumbers experts = row_numbers(*ggml_mul_mat_id(c(), f32(4, 3, 2), f32(4, 1, 3), i32(2, 3)));
  EXPECT_EQ(experts.source, 2);
  EXPECT_EQ(experts.limit, 2);
  EXPECT_TRUE(experts.distinct);
  EXPECT_EQ(row_numbers(*ggml_scale(c(), f32(4), 1)).source, -1);
}

TEST_F(Ops, RotationLooksUpFactorsForAllPairs) {
  EXPECT_EQ(reach(*ggml_rope_ext(c(), f32(32, 4, 3), i32(3), f32(8), 16, 0, 0, 1e4F, 1, 0, 1, 1, 1), 2), 64U);
}

}  // namespace
}  // namespace caravan::fabric::ops
