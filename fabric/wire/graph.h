// GRAPH: a ggml graph as numbers. Tensors 0 to node_count - 1 are the nodes in the order in which they run,
// the others are the leaves: direct sources of nodes that are no nodes themselves. No pointers: sources are
// indices of tensors, memory is a buffer's number and an offset. A graph may travel as a difference to one
// that the worker has.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/wire/frame.h"

namespace caravan::fabric {

/// In place of an index: no view.
constexpr std::uint32_t kNoView = 0xffffffffU;
/// A view of a tensor that the graph does not have.
constexpr std::uint32_t kViewOfOther = 0xfffffffeU;
/// In place of an index: no source here (but perhaps at a later place).
constexpr std::uint32_t kNoSource = 0xffffffffU;
/// In place of a buffer's number: without memory (a leaf or node of zero bytes).
constexpr std::uint32_t kNoBuffer = 0xffffffffU;

struct GraphTensor {
  std::uint16_t type = 0;   ///< ggml_type
  std::uint16_t op = 0;     ///< ggml_op; 0 (NONE) for leaves
  std::uint32_t flags = 0;  ///< ggml_tensor_flag bits
  std::uint32_t uses = 0;   ///< ggml_node_get_use_count, nodes only
  std::uint32_t buffer = kNoBuffer;
  std::uint64_t offset = 0;  ///< of the tensor's data in the buffer, view offset included
  std::array<std::int64_t, kDims> ne{1, 1, 1, 1};
  std::array<std::uint64_t, kDims> nb{};
  std::array<std::int32_t, kMaxParameters> parameters{};  ///< op_params
  std::array<std::uint32_t, kMaxSources> sources{kNoSource, kNoSource, kNoSource, kNoSource, kNoSource,
                                                 kNoSource, kNoSource, kNoSource, kNoSource, kNoSource};
  std::uint32_t view_source = kNoView;
  std::uint64_t view_offset = 0;
  bool operator==(const GraphTensor&) const = default;
};

struct Graph {
  std::uint64_t id = 0;  ///< the master's number for it, not 0
  std::uint32_t node_count = 0;
  std::vector<GraphTensor> tensors;
  bool operator==(const Graph&) const = default;
};

/// Appends a GRAPH frame. With a `base` (of the same node_count and number of tensors, which the worker still
/// has) only what differs from it travels.
void append_graph(std::string& out, const Graph& graph, const Graph* base = nullptr);

/// True when `base` can be the base of `graph`.
bool can_be_base(const Graph& base, const Graph& graph);

/// Id of the base that the GRAPH in `payload` needs, 0 for none.
Result<std::uint64_t> base_of(std::string_view payload);

/// The graph in `payload`. `base` must be the one that base_of named (null for 0). What comes out is within
/// the limits, its sources and view sources are indices of its tensors, a node's sources are leaves, nodes
/// before it or itself (the second one of a cast), leaves have no sources. Types, operations, sizes, buffers
/// and offsets are as the sender wrote them.
Result<Graph> read_graph(std::string_view payload, const Graph* base);

}  // namespace caravan::fabric
