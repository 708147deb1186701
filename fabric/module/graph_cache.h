// The graphs that one worker has, as the master remembers them: what is known there needs only its number,
// and what is new travels as a difference to one of the same size. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "fabric/wire/graph.h"

namespace caravan::fabric {

class GraphCache {
 public:
  /// At most so many graphs, and so many tensors in all of them (but one graph is kept however large it is).
  GraphCache(std::size_t max_graphs, std::size_t max_tensors)
      : max_graphs_(max_graphs), max_tensors_(max_tensors) {}

  /// The number of the graph that ggml calls `uid`, 0 when it is not there. ggml's 0 is no name: never there.
  std::uint64_t find(std::uint64_t uid);
  /// The best base for `graph`: the one of its size that was used last. Null when there is none.
  const Graph* base_for(const Graph& graph) const;
  /// A number for a new graph; never used before.
  std::uint64_t next_id() { return ++last_id_; }
  /// Keeps `graph`; the numbers of those that had to go, which the worker should drop too.
  std::vector<std::uint64_t> keep(std::uint64_t uid, Graph graph);
  /// Forgets what uses this buffer, as the worker does when it is freed.
  void forget_buffer(std::uint32_t buffer);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint64_t uid;
    Graph graph;
  };
  std::size_t max_graphs_;
  std::size_t max_tensors_;
  std::uint64_t last_id_ = 0;
  std::size_t tensors_ = 0;
  std::list<Entry> entries_;  // the one that was used last comes first
};

}  // namespace caravan::fabric
