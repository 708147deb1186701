#include "fabric/worker/tensor_size.h"

#include <ggml.h>
#include <gtest/gtest.h>

namespace caravan::fabric::worker {
namespace {

constexpr std::int64_t kHuge = std::int64_t{1} << 31U;

TEST(FabricTensorSize, TypesThatWereTakenOutOfUseAreNone) {
  EXPECT_TRUE(is_type(GGML_TYPE_F32));
  EXPECT_TRUE(is_type(GGML_TYPE_MXFP4));
  EXPECT_FALSE(is_type(4));
  EXPECT_FALSE(is_type(31));
  EXPECT_FALSE(is_type(GGML_TYPE_COUNT));
  EXPECT_FALSE(is_type(0xffffffffU));
}

TEST(FabricTensorSize, PackedSizesAreTheEngines) {
  EXPECT_EQ(packed_size(GGML_TYPE_F32, {3, 2, 1, 1}), 24U);
  EXPECT_EQ(packed_size(GGML_TYPE_Q4_0, {64, 2, 1, 1}), 72U);
  EXPECT_EQ(packed_size(GGML_TYPE_F32, {3, 0, 1, 1}), 0U);
  EXPECT_FALSE(packed_size(GGML_TYPE_Q4_0, {33, 2, 1, 1}));
  EXPECT_FALSE(packed_size(GGML_TYPE_F32, {-1, 2, 1, 1}));
  EXPECT_FALSE(packed_size(GGML_TYPE_F32, {kHuge, 1, 1, 1}));
  EXPECT_FALSE(packed_size(GGML_TYPE_F32, {kHuge - 1, kHuge - 1, kHuge - 1, kHuge - 1}));
}

TEST(FabricTensorSize, SpansReachFromTheFirstToTheLastByte) {
  EXPECT_EQ(span(GGML_TYPE_F32, {3, 2, 1, 1}, {4, 12, 24, 24}), 24U);
  EXPECT_EQ(span(GGML_TYPE_F32, {3, 2, 1, 1}, {4, 100, 200, 200}), 112U);
  EXPECT_EQ(span(GGML_TYPE_F32, {2, 3, 1, 1}, {12, 4, 24, 24}), 24U) << "transposed";
  EXPECT_EQ(span(GGML_TYPE_Q4_0, {64, 2, 1, 1}, {18, 50, 100, 100}), 86U);
  EXPECT_EQ(span(GGML_TYPE_F32, {3, 0, 1, 1}, {4, 12, 24, 24}), 0U);
  EXPECT_EQ(span(GGML_TYPE_Q4_0, {0, 7, 1, 1}, {18, 0, 0, 0}), 0U) << "a slice of nothing";
}

TEST(FabricTensorSize, ASpanIsNeverLessThanThePackedSize) {
  EXPECT_EQ(span(GGML_TYPE_F32, {3, 4, 1, 1}, {4, 4, 24, 24}), 48U) << "rows that overlap";
}

TEST(FabricTensorSize, StridesThatCannotBeAreRefused) {
  EXPECT_FALSE(span(GGML_TYPE_F32, {3, 2, 1, 1}, {4, 0, 24, 24}));
  EXPECT_FALSE(span(GGML_TYPE_F32, {3, 2, 1, 1}, {2, 12, 24, 24}));
  EXPECT_FALSE(span(GGML_TYPE_F32, {3, 2, 1, 1}, {4, 13, 24, 24}));
  EXPECT_FALSE(span(GGML_TYPE_Q4_0, {64, 2, 1, 1}, {36, 72, 144, 144}));
  EXPECT_FALSE(span(GGML_TYPE_F32, {3, 2, 1, 1}, {4, ~std::uint64_t{3}, 24, 24}));
  EXPECT_FALSE(span(GGML_TYPE_F32, {3, kHuge - 1, 1, 1}, {4, std::uint64_t{1} << 40U, 24, 24}));
}

}  // namespace
}  // namespace caravan::fabric::worker
