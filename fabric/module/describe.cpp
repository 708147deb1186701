#include "fabric/module/describe.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <ggml-impl.h>

#include "fabric/ops/check.h"

namespace caravan::fabric {
namespace {

static_assert(GGML_MAX_DIMS == kDims && GGML_MAX_SRC == kMaxSources);
static_assert(GGML_MAX_OP_PARAMS / sizeof(std::int32_t) == kMaxParameters);

class Description {
 public:
  Description(const StageDevice& device, std::uint64_t id) : device_(device) { graph_.id = id; }

  Result<Graph> of(const ggml_cgraph& graph) {
    std::vector<int> nodes;  // places in ggml's graph of those that the worker gets
    nodes.reserve(static_cast<std::size_t>(graph.n_nodes));
    tensors_.reserve(2 * nodes.capacity());
    for (int i = 0; i < graph.n_nodes; ++i) {
      if (looks_elsewhere(*graph.nodes[i])) continue;
      nodes.push_back(i);
      index_of(graph.nodes[i]);
    }
    graph_.node_count = static_cast<std::uint32_t>(tensors_.size());
    if (tensors_.size() != nodes.size()) return Error{Code::bug, "a graph has the same node twice", ""};
    for (const int i : nodes) {
      for (const auto* source : graph.nodes[i]->src) {
        if (source != nullptr) index_of(source);
      }
    }
    graph_.tensors.resize(tensors_.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (auto placed = place(*tensors_[i], graph_.tensors[i]); !placed) return placed.error();
      fill(*tensors_[i], graph_.tensors[i]);
    }
    for (std::size_t i = 0; i < nodes.size(); ++i)
      fill_node(*tensors_[i], uses_of(graph, nodes[i]), graph_.tensors[i]);
    return std::move(graph_);
  }

 private:
  /// The scheduler leaves views with any backend, as they compute nothing: also with one that does not have
  /// what they look at. Nothing here uses them then: whoever does gets a copy of what they show.
  bool looks_elsewhere(const ggml_tensor& node) const {
    const auto* const buffer = remote_buffer_of(node);
    return ops::is_view_only(node.op) && (buffer == nullptr || buffer->owner.stage != device_.stage);
  }

  static int uses_of(const ggml_cgraph& graph, int node) {
    const bool counted = graph.use_counts != nullptr && graph.visited_hash_set.size > 0;
    return counted ? ggml_node_get_use_count(&graph, node) : 0;
  }

  std::uint32_t index_of(const ggml_tensor* tensor) {
    const auto [found, added] = indices_.try_emplace(tensor, static_cast<std::uint32_t>(tensors_.size()));
    if (added) tensors_.push_back(tensor);
    return found->second;
  }

  Result<void> place(const ggml_tensor& tensor, GraphTensor& out) const {
    const auto size = ggml_nbytes(&tensor);
    const auto region = region_of(tensor, 0, size);
    if (region && remote_buffer_of(tensor)->owner.stage == device_.stage) {
      out.buffer = region->buffer;
      out.offset = region->offset;
      return {};
    }
    if (size == 0) return {};
    return Error{Code::bug,
                 fmt::format("the tensor '{}' is not in the memory of {}", tensor.name, device_.name),
                 "report this with the model's name"};
  }

  void fill(const ggml_tensor& tensor, GraphTensor& out) const {
    out.type = static_cast<std::uint16_t>(tensor.type);
    out.flags = static_cast<std::uint32_t>(tensor.flags);
    std::copy_n(tensor.ne, kDims, out.ne.begin());
    std::copy_n(tensor.nb, kDims, out.nb.begin());
    if (tensor.view_src == nullptr) return;
    const auto viewed = indices_.find(tensor.view_src);
    out.view_source = viewed == indices_.end() ? kViewOfOther : viewed->second;
    out.view_offset = tensor.view_offs;
  }

  void fill_node(const ggml_tensor& tensor, int uses, GraphTensor& out) const {
    out.op = static_cast<std::uint16_t>(tensor.op);
    out.uses = static_cast<std::uint32_t>(std::max(0, uses));
    std::copy_n(tensor.op_params, kMaxParameters, out.parameters.begin());
    for (std::size_t k = 0; k < out.sources.size(); ++k) {
      if (tensor.src[k] != nullptr) out.sources[k] = indices_.at(tensor.src[k]);
    }
  }

  const StageDevice& device_;
  Graph graph_;
  std::unordered_map<const ggml_tensor*, std::uint32_t> indices_;
  std::vector<const ggml_tensor*> tensors_;
};

}  // namespace

Result<Graph> describe(const ggml_cgraph& graph, const StageDevice& device, std::uint64_t id) {
  return Description(device, id).of(graph);
}

}  // namespace caravan::fabric
