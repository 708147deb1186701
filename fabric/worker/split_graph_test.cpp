// Graphs as they come when tensors are split between workers.
#include <gtest/gtest.h>

#include "fabric/worker/test_graphs.h"

namespace caravan::fabric::worker {
namespace {

using testing::commands_of;
using testing::LocalGraph;
using testing::Master;
using testing::Worker;

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
    Worker worker;
    Master master(worker.server);
    ASSERT_TRUE(master.greet_as_master().ok());
    master.say(Open{0, 0, 1, 1});
    master.say_bytes(commands_of(graph));
    std::string frame;
    append_graph(frame, odd);
    master.say_bytes(frame);
    master.say(fabric::Run{2});
    const auto bytes = master.fetch(graph.result());
    ASSERT_TRUE(bytes.ok()) << bytes.error().message;
    const Region x = graph.region_of(graph.leaf("x"));
    const std::string x_alone = graph.image().substr(x.offset, x.size);
    EXPECT_EQ(*bytes, empty ? std::string(bytes->size(), '\0') : x_alone) << "the product counts as zeros";
  }
}

}  // namespace
}  // namespace caravan::fabric::worker
