// Graphs as they come when tensors are split between workers.
#include <gtest/gtest.h>

#include "fabric/worker/test_graphs.h"

namespace caravan::fabric::worker {
namespace {

using testing::LocalGraph;

/// Slices of split tensors that have no values come with sources that do not fit: they are never computed.
TEST(FabricSplitGraph, NodesThatAreNotComputedNeedNotFit) {
  const LocalGraph graph([](ggml_context* c) {
    ggml_tensor* x = testing::leaf(c, "x", GGML_TYPE_F32, 4, 3);
    return ggml_add(c, ggml_mul_mat(c, testing::leaf(c, "weight", GGML_TYPE_F32, 4, 4), x), x);
  });
  for (const bool empty : {false, true}) {
    Graph odd = graph.described(2);
    ASSERT_EQ(odd.tensors[0].op, GGML_OP_MUL_MAT);
    GraphTensor& weight = odd.tensors[odd.tensors[0].sources[0]];
    weight.ne[0] = 0;
    weight.nb[1] = weight.nb[2] = weight.nb[3] = 0;
    if (empty) odd.tensors[0].ne[1] = odd.tensors[1].ne[1] = 0;
    if (!empty) odd.tensors[0].flags &= ~std::uint32_t{GGML_TENSOR_FLAG_COMPUTE};
    const auto bytes = testing::result_of_variant(graph, odd);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message;
    const Region x = graph.region_of(graph.leaf("x"));
    const std::string x_alone = graph.image().substr(x.offset, x.size);
    EXPECT_EQ(*bytes, empty ? std::string(bytes->size(), '\0') : x_alone) << "the product counts as zeros";
  }
}

}  // namespace
}  // namespace caravan::fabric::worker
