#include "fabric/wire/graph.h"

#include <gtest/gtest.h>

#include "fabric/wire/golden.h"

namespace caravan::fabric {
namespace {

using testing::next_graph;
using testing::small_graph;

std::string payload_of(const Graph& graph, const Graph* base = nullptr) {
  std::string frame;
  append_graph(frame, graph, base);
  return frame.substr(kHeaderBytes);
}

TEST(FabricGraph, WholeGoesThereAndBack) {
  const std::string payload = payload_of(small_graph());
  EXPECT_EQ(*base_of(payload), 0U);
  const auto read = read_graph(payload, nullptr);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, small_graph());
}

TEST(FabricGraph, OfAllDefaultsIsStillWhole) {
  Graph graph;
  graph.id = 1;
  graph.node_count = 1;
  graph.tensors.resize(2);
  const auto read = read_graph(payload_of(graph), nullptr);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, graph);
}

TEST(FabricGraph, DifferenceIsSmallAndGivesTheSameGraph) {
  const Graph base = small_graph();
  ASSERT_TRUE(can_be_base(base, next_graph()));
  const std::string payload = payload_of(next_graph(), &base);
  EXPECT_EQ(*base_of(payload), base.id);
  EXPECT_EQ(payload.size(), 28U + 6U + 8U + 12U);
  const auto read = read_graph(payload, &base);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, next_graph());
}

TEST(FabricGraph, EveryPartTravelsInADifference) {
  const Graph base = small_graph();
  const std::vector<void (*)(GraphTensor&)> changes{[](GraphTensor& t) { t.type = 8; },
                                                    [](GraphTensor& t) { t.op = 1; },
                                                    [](GraphTensor& t) { t.flags = 1; },
                                                    [](GraphTensor& t) { t.uses = 7; },
                                                    [](GraphTensor& t) { t.buffer = 9; },
                                                    [](GraphTensor& t) { t.offset = 1; },
                                                    [](GraphTensor& t) { t.ne[3] = -1; },
                                                    [](GraphTensor& t) { t.nb[3] = 1; },
                                                    [](GraphTensor& t) { t.parameters[15] = 1; },
                                                    [](GraphTensor& t) { t.parameters = {}; },
                                                    [](GraphTensor& t) { t.sources[9] = 3; },
                                                    [](GraphTensor& t) { t.sources[0] = kNoSource; },
                                                    [](GraphTensor& t) { t.view_source = kViewOfOther; },
                                                    [](GraphTensor& t) { t.view_offset = 1; }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Graph graph = base;
    changes[i](graph.tensors[0]);
    const auto read = read_graph(payload_of(graph, &base), &base);
    ASSERT_TRUE(read.ok()) << i << ": " << read.error().message;
    EXPECT_EQ(*read, graph) << i;
  }
}

TEST(FabricGraph, EdgesAreIndicesOfEarlierNodesOrLeaves) {
  const auto refused = [](void (*change)(Graph&)) {
    Graph graph = small_graph();
    change(graph);
    return !read_graph(payload_of(graph), nullptr).ok();
  };
  EXPECT_FALSE(refused([](Graph& g) { g.tensors[0].sources[0] = 0; }));
  EXPECT_TRUE(refused([](Graph& g) { g.tensors[0].sources[0] = 1; }));
  EXPECT_TRUE(refused([](Graph& g) { g.tensors[0].sources[0] = 4; }));
  EXPECT_TRUE(refused([](Graph& g) { g.tensors[2].sources[0] = 3; }));
  EXPECT_TRUE(refused([](Graph& g) { g.tensors[2].op = 1; }));
  EXPECT_TRUE(refused([](Graph& g) { g.tensors[1].view_source = 4; }));
  EXPECT_FALSE(refused([](Graph& g) { g.tensors[1].view_source = kViewOfOther; }));
  EXPECT_TRUE(refused([](Graph& g) { g.id = 0; }));
  EXPECT_TRUE(refused([](Graph& g) { g.node_count = 5; }));
}

TEST(FabricGraph, ADifferenceNeedsItsBase) {
  const Graph base = small_graph();
  const std::string payload = payload_of(next_graph(), &base);
  EXPECT_FALSE(read_graph(payload, nullptr).ok());
  Graph other = base;
  other.id = 99;
  EXPECT_FALSE(read_graph(payload, &other).ok());
  other = base;
  other.tensors.pop_back();
  EXPECT_FALSE(read_graph(payload, &other).ok());
  EXPECT_FALSE(can_be_base(other, base));
}

TEST(FabricGraph, EveryCutIsRefused) {
  const std::string payload = payload_of(small_graph());
  for (std::size_t size = 0; size < payload.size(); ++size)
    EXPECT_FALSE(read_graph(payload.substr(0, size), nullptr).ok()) << size;
  EXPECT_FALSE(read_graph(payload + "x", nullptr).ok());
}

}  // namespace
}  // namespace caravan::fabric
