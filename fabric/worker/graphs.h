// The graphs that a master has sent: checked, made into ggml's form once, run by number.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include <ggml.h>

#include "fabric/ops/check.h"
#include "fabric/wire/graph.h"
#include "fabric/worker/device.h"
#include "fabric/worker/memory.h"

namespace caravan::fabric::worker {

/// A graph that can be run as long as the buffers that it uses are as they were.
class RunnableGraph {
 public:
  /// Checks all that docs/fabric-protocol.md promises.
  static Result<std::unique_ptr<RunnableGraph>> make(Graph graph, const Memory& memory,
                                                     const ComputeDevice& device);

  const Graph& description() const { return graph_; }
  bool uses(std::uint32_t buffer) const;
  /// False once a buffer was freed, or a weight in it was laid out anew.
  bool holds(const Memory& memory) const;
  /// Blocks until it is done. Row numbers are checked before they are used.
  Result<void> run(const ComputeDevice& device);

 private:
  /// Data that has to be looked at before node `before` runs.
  struct DataCheck {
    std::uint32_t before;
    const ggml_tensor* node;
  };
  struct ContextDeleter {
    void operator()(ggml_context* context) const { ggml_free(context); }
  };

  explicit RunnableGraph(Graph graph) : graph_(std::move(graph)) {}
  Result<void> place_tensors(const Memory& memory);
  Result<void> place_tensor(std::uint32_t index, const Memory& memory);
  Result<void> connect_tensors();
  Result<void> check_nodes(const Memory& memory, const ComputeDevice& device) const;
  Result<void> check_reach(std::uint32_t index, const Memory& memory) const;
  Result<void> make_ggml_graph(const ComputeDevice& device);
  void plan_data_checks();
  bool overlap(std::uint32_t a, std::uint32_t b) const;
  /// 0 when what source `source` of `node` holds is there from the beginning, else `node`.
  std::uint32_t when_to_check(std::uint32_t node, int source) const;
  /// The row numbers come straight from a sort in this graph, so that they are right.
  bool sorts_make(std::uint32_t node, const ops::RowNumbers& wanted) const;
  Result<void> check_data(const DataCheck& check) const;
  Error about(std::uint32_t index, const char* why) const;

  Graph graph_;
  std::vector<ggml_tensor> tensors_;
  std::vector<std::uint64_t> spans_;  ///< bytes that each tensor can touch
  std::vector<bool> repacked_;        ///< tensors that are weights in a layout of the device's own
  ggml_tensor other_{};               ///< what views of tensors that are not here are views of
  std::map<std::uint32_t, std::uint64_t> buffers_;  ///< number and generation
  std::unique_ptr<ggml_context, ContextDeleter> context_;
  ggml_cgraph* ggml_graph_ = nullptr;
  std::vector<DataCheck> checks_;  ///< rising by `before`
};

/// Those of one master, by its numbers, with the limits of limits.h; the ones that were used the longest time
/// ago go first.
class GraphStore {
 public:
  Result<void> add(std::string_view payload, const Memory& memory, const ComputeDevice& device);
  void drop(std::uint64_t id);
  /// Drops what uses this buffer.
  void drop_users_of(std::uint32_t buffer);
  Result<void> run(std::uint64_t id, const Memory& memory, const ComputeDevice& device);

 private:
  struct Entry {
    std::unique_ptr<RunnableGraph> graph;
    std::list<std::uint64_t>::iterator place;
  };
  /// Null when there is none; else it is now the one used last.
  RunnableGraph* use(std::uint64_t id);
  void make_room(std::size_t tensors);

  std::map<std::uint64_t, Entry> graphs_;
  std::list<std::uint64_t> order_;  ///< the one that was used last comes first
  std::size_t tensors_ = 0;
};

}  // namespace caravan::fabric::worker
