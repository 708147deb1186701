#include "fabric/worker/graphs.h"

#include <fmt/format.h>

namespace caravan::fabric::worker {
namespace {

Error no_graph(std::uint64_t id) {
  return {Code::not_found, fmt::format("there is no graph {}", id), "update Caravan on the master"};
}

}  // namespace

RunnableGraph* GraphStore::use(std::uint64_t id) {
  const auto found = graphs_.find(id);
  if (found == graphs_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second.place);
  return found->second.graph.get();
}

void GraphStore::drop(std::uint64_t id) {
  const auto found = graphs_.find(id);
  if (found == graphs_.end()) return;
  tensors_ -= found->second.graph->description().tensors.size();
  order_.erase(found->second.place);
  graphs_.erase(found);
}

void GraphStore::drop_users_of(std::uint32_t buffer) {
  std::vector<std::uint64_t> users;
  for (const auto& [id, entry] : graphs_) {
    if (entry.graph->uses(buffer)) users.push_back(id);
  }
  for (const std::uint64_t id : users) drop(id);
}

void GraphStore::make_room(std::size_t tensors) {
  while (!order_.empty() && (graphs_.size() >= kMaxGraphs || tensors_ + tensors > kMaxKeptTensors))
    drop(order_.back());
}

Result<void> GraphStore::add(std::string_view payload, const Memory& memory, const ComputeDevice& device) {
  const auto base_id = base_of(payload);
  if (!base_id) return base_id.error();
  const RunnableGraph* base = *base_id != 0 ? use(*base_id) : nullptr;
  if (*base_id != 0 && base == nullptr) return no_graph(*base_id);
  auto graph = read_graph(payload, base != nullptr ? &base->description() : nullptr);
  if (!graph) return graph.error();
  const std::uint64_t id = graph->id;
  auto runnable = RunnableGraph::make(std::move(*graph), memory, device);
  if (!runnable) return runnable.error();
  drop(id);
  const std::size_t size = (*runnable)->description().tensors.size();
  make_room(size);
  order_.push_front(id);
  tensors_ += size;
  graphs_.emplace(id, Entry{std::move(*runnable), order_.begin()});
  return {};
}

Result<void> GraphStore::run(std::uint64_t id, const Memory& memory, const ComputeDevice& device) {
  RunnableGraph* graph = use(id);
  if (graph == nullptr) return no_graph(id);
  if (!graph->holds(memory)) {
    drop(id);
    return no_graph(id);
  }
  return graph->run(device);
}

}  // namespace caravan::fabric::worker
