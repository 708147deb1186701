// Any bytes as what a worker reads: the first byte chooses greeting, master or peer, then frames follow. What
// is accepted must come out the same when it is written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "fabric/wire/dispatch.h"
#include "fabric/wire/graph.h"

using namespace caravan;
using namespace caravan::fabric;

namespace {

/// Graphs by id, as a worker keeps them.
using Graphs = std::map<std::uint64_t, Graph>;

void check_graph(std::string_view payload, Graphs& graphs) {
  const auto base_id = base_of(payload);
  if (!base_id) return;
  const auto base = graphs.find(*base_id);
  const Graph* known = base != graphs.end() ? &base->second : nullptr;
  const auto graph = read_graph(payload, known);
  if (!graph) {
    if (graph.error().message.empty()) std::abort();
    return;
  }
  std::string again;
  append_graph(again, *graph, known);
  const auto read = read_graph(std::string_view(again).substr(kHeaderBytes), known);
  if (!read || *read != *graph) std::abort();
  if (graphs.size() < 16) graphs[graph->id] = *graph;
}

void check_frame(Header header, std::string_view payload, Expecting expecting, Graphs& graphs) {
  const auto same_again = [payload](const auto& message) -> Result<void> {
    std::string frame;
    append_message(frame, message);
    if (std::string_view(frame).substr(kHeaderBytes) != payload) std::abort();
    return {};
  };
  if (header.type == Type::graph) return check_graph(payload, graphs);
  if (!expecting.proved) {
    (void)Answers::read(header.type, payload, same_again);
  } else if (expecting.from == Role::peer) {
    (void)HandOffs::read(header.type, payload, same_again);
  } else {
    (void)Commands::read(header.type, payload, same_again);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  const Expecting expecting{text[0] % 2 == 0 ? Role::master : Role::peer, text[0] % 3 != 0};
  text.remove_prefix(1);
  Graphs graphs;
  while (text.size() >= kHeaderBytes) {
    const auto header = read_header(text.substr(0, kHeaderBytes), expecting);
    if (!header) {
      if (header.error().message.empty()) std::abort();
      return 0;
    }
    text.remove_prefix(kHeaderBytes);
    const std::string_view payload = text.substr(0, header->payload_bytes);
    if (payload.size() != header->payload_bytes) return 0;
    check_frame(*header, payload, expecting, graphs);
    text.remove_prefix(payload.size());
  }
  return 0;
}
