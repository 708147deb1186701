#include "fabric/module/graph_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caravan::fabric {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Graph graph_of(GraphCache& cache, std::size_t tensors, std::uint32_t buffer = 1) {
  Graph graph;
  graph.id = cache.next_id();
  graph.node_count = static_cast<std::uint32_t>(tensors);
  graph.tensors.resize(tensors);
  for (auto& tensor : graph.tensors) tensor.buffer = buffer;
  return graph;
}

TEST(GraphCache, FindsByUidButNeverZero) {
  GraphCache cache(8, 100);
  EXPECT_EQ(cache.find(7), 0U);
  EXPECT_THAT(cache.keep(7, graph_of(cache, 3)), IsEmpty());
  EXPECT_THAT(cache.keep(0, graph_of(cache, 3)), IsEmpty());
  EXPECT_EQ(cache.find(7), 1U);
  EXPECT_EQ(cache.find(0), 0U);
}

TEST(GraphCache, TheBaseIsTheLastUsedOfTheSameSize) {
  GraphCache cache(8, 100);
  cache.keep(1, graph_of(cache, 3));
  cache.keep(2, graph_of(cache, 4));
  cache.keep(3, graph_of(cache, 3));
  const auto wanted = graph_of(cache, 3);
  EXPECT_EQ(cache.base_for(wanted)->id, 3U);
  EXPECT_EQ(cache.find(1), 1U);
  EXPECT_EQ(cache.base_for(wanted)->id, 1U);
  EXPECT_EQ(cache.base_for(graph_of(cache, 5)), nullptr);
}

TEST(GraphCache, DropsWhatWasNotUsedForLongest) {
  GraphCache cache(2, 100);
  cache.keep(1, graph_of(cache, 3));
  cache.keep(2, graph_of(cache, 3));
  cache.find(1);
  EXPECT_THAT(cache.keep(3, graph_of(cache, 3)), ElementsAre(2U));
  EXPECT_EQ(cache.find(2), 0U);
  EXPECT_EQ(cache.find(1), 1U);
}

TEST(GraphCache, DropsWhenThereAreTooManyTensorsButKeepsOne) {
  GraphCache cache(8, 10);
  cache.keep(1, graph_of(cache, 4));
  cache.keep(2, graph_of(cache, 5));
  EXPECT_THAT(cache.keep(3, graph_of(cache, 50)), ElementsAre(1U, 2U));
  EXPECT_EQ(cache.find(3), 3U);
  EXPECT_THAT(cache.keep(4, graph_of(cache, 10)), ElementsAre(3U));
  EXPECT_EQ(cache.size(), 1U);
}

TEST(GraphCache, ForgetsGraphsOfAFreedBuffer) {
  GraphCache cache(8, 10);
  cache.keep(1, graph_of(cache, 4, 1));
  cache.keep(2, graph_of(cache, 4, 2));
  cache.forget_buffer(1);
  EXPECT_EQ(cache.find(1), 0U);
  EXPECT_EQ(cache.find(2), 2U);
  EXPECT_THAT(cache.keep(3, graph_of(cache, 6)), IsEmpty())
      << "the forgotten graph's tensors are not counted";
}

}  // namespace
}  // namespace caravan::fabric
