#include "fabric/module/graph_cache.h"

#include <algorithm>

namespace caravan::fabric {

std::uint64_t GraphCache::find(std::uint64_t uid) {
  if (uid == 0) return 0;
  const auto found = std::ranges::find(entries_, uid, &Entry::uid);
  if (found == entries_.end()) return 0;
  entries_.splice(entries_.begin(), entries_, found);
  return found->graph.id;
}

const Graph* GraphCache::base_for(const Graph& graph) const {
  const auto found =
      std::ranges::find_if(entries_, [&](const Entry& entry) { return can_be_base(entry.graph, graph); });
  return found == entries_.end() ? nullptr : &found->graph;
}

std::vector<std::uint64_t> GraphCache::keep(std::uint64_t uid, Graph graph) {
  tensors_ += graph.tensors.size();
  entries_.push_front({uid, std::move(graph)});
  std::vector<std::uint64_t> dropped;
  while (entries_.size() > 1 && (entries_.size() > max_graphs_ || tensors_ > max_tensors_)) {
    dropped.push_back(entries_.back().graph.id);
    tensors_ -= entries_.back().graph.tensors.size();
    entries_.pop_back();
  }
  return dropped;
}

void GraphCache::forget_buffer(std::uint32_t buffer) {
  const auto uses = [buffer](const GraphTensor& tensor) { return tensor.buffer == buffer; };
  std::erase_if(entries_, [&](const Entry& entry) {
    if (std::ranges::none_of(entry.graph.tensors, uses)) return false;
    tensors_ -= entry.graph.tensors.size();
    return true;
  });
}

}  // namespace caravan::fabric
