#include "fabric/wire/graph.h"

#include <algorithm>

namespace caravan::fabric {
namespace {

/// Which fields of a tensor follow. The others are the base's, or a GraphTensor's defaults.
enum Part : std::uint16_t {
  part_kind = 1U << 0U,
  part_flags = 1U << 1U,
  part_uses = 1U << 2U,
  part_buffer = 1U << 3U,
  part_offset = 1U << 4U,
  part_ne = 1U << 5U,
  part_nb = 1U << 6U,
  part_parameters = 1U << 7U,
  part_sources = 1U << 8U,
  part_view = 1U << 9U,
  part_all = (1U << 10U) - 1U,
};

/// Bytes of the shortest change: index and parts.
constexpr std::size_t kLeastChange = 6;

struct Change {
  std::uint32_t index = 0;
  std::uint16_t parts = 0;
};

struct Preamble {
  std::uint64_t id = 0;
  std::uint64_t base = 0;
  std::uint32_t node_count = 0;
  std::uint32_t tensor_count = 0;
  std::uint32_t change_count = 0;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.id);
    io.must(m.id != 0, "a graph without id");
    io.number(m.base);
    io.number(m.node_count);
    io.number(m.tensor_count);
    io.must(m.tensor_count <= kMaxGraphTensors, "a graph of too many tensors");
    io.must(m.node_count <= m.tensor_count, "more nodes than tensors");
    io.number(m.change_count);
    io.must(m.change_count <= m.tensor_count, "more changes than tensors");
  }
};

std::uint16_t parts_that_differ(const GraphTensor& a, const GraphTensor& b) {
  unsigned parts = 0;
  if (a.type != b.type || a.op != b.op) parts |= part_kind;
  if (a.flags != b.flags) parts |= part_flags;
  if (a.uses != b.uses) parts |= part_uses;
  if (a.buffer != b.buffer) parts |= part_buffer;
  if (a.offset != b.offset) parts |= part_offset;
  if (a.ne != b.ne) parts |= part_ne;
  if (a.nb != b.nb) parts |= part_nb;
  if (a.parameters != b.parameters) parts |= part_parameters;
  if (a.sources != b.sources) parts |= part_sources;
  if (a.view_source != b.view_source || a.view_offset != b.view_offset) parts |= part_view;
  return static_cast<std::uint16_t>(parts);
}

/// u8 count and as many values: `all` without the fillers at its end.
template <typename Array, typename Io>
void pass_front(Array& all, typename std::remove_const_t<Array>::value_type filler, Io& io) {
  std::uint8_t count = 0;
  if constexpr (!Io::kReads) {
    const auto last = std::find_if(all.rbegin(), all.rend(), [filler](auto v) { return v != filler; });
    count = static_cast<std::uint8_t>(all.rend() - last);
  }
  io.number(count);
  if (count > all.size()) return io.must(false, "more parameters or sources than there can be");
  if constexpr (Io::kReads) all.fill(filler);
  for (std::size_t i = 0; i < count; ++i) io.number(all[i]);
}

template <typename Self, typename Io>
void pass_parts(Self& tensor, unsigned parts, Io& io) {
  if ((parts & part_kind) != 0) {
    io.number(tensor.type);
    io.number(tensor.op);
  }
  if ((parts & part_flags) != 0) io.number(tensor.flags);
  if ((parts & part_uses) != 0) io.number(tensor.uses);
  if ((parts & part_buffer) != 0) io.number(tensor.buffer);
  if ((parts & part_offset) != 0) io.number(tensor.offset);
  if ((parts & part_ne) != 0) {
    for (auto& n : tensor.ne) io.number(n);
  }
  if ((parts & part_nb) != 0) {
    for (auto& n : tensor.nb) io.number(n);
  }
  if ((parts & part_parameters) != 0) pass_front(tensor.parameters, 0, io);
  if ((parts & part_sources) != 0) pass_front(tensor.sources, kNoSource, io);
  if ((parts & part_view) != 0) {
    io.number(tensor.view_source);
    io.number(tensor.view_offset);
  }
}

/// For append_message.
struct GraphMessage {
  static constexpr Type kType = Type::graph;
  const Graph& graph;
  const Graph* base;

  static void fields(const GraphMessage& m, FieldWriter& writer) {
    const GraphTensor nothing;
    std::vector<Change> changes;
    changes.reserve(m.graph.tensors.size());
    for (std::uint32_t i = 0; i < m.graph.tensors.size(); ++i) {
      const GraphTensor& before = m.base != nullptr ? m.base->tensors[i] : nothing;
      const std::uint16_t parts = parts_that_differ(m.graph.tensors[i], before);
      if (parts != 0 || m.base == nullptr) changes.push_back({i, parts});
    }
    const Preamble preamble{m.graph.id, m.base != nullptr ? m.base->id : 0, m.graph.node_count,
                            static_cast<std::uint32_t>(m.graph.tensors.size()),
                            static_cast<std::uint32_t>(changes.size())};
    Preamble::fields(preamble, writer);
    for (const Change& change : changes) {
      writer.number(change.index);
      writer.number(change.parts);
      pass_parts(m.graph.tensors[change.index], change.parts, writer);
    }
  }
};

/// Why the edges cannot be, or null.
const char* wrong_edge(const Graph& graph) {
  const auto count = static_cast<std::uint32_t>(graph.tensors.size());
  for (std::uint32_t i = 0; i < count; ++i) {
    const GraphTensor& tensor = graph.tensors[i];
    const bool leaf = i >= graph.node_count;
    for (const std::uint32_t source : tensor.sources) {
      if (source == kNoSource) continue;
      if (leaf) return "a leaf with sources";
      if (source >= count || (source > i && source < graph.node_count)) return "an edge that cannot be";
    }
    if (leaf && tensor.op != 0) return "a leaf with an operation";
    if (tensor.view_source >= count && tensor.view_source != kNoView && tensor.view_source != kViewOfOther)
      return "a view of no tensor";
  }
  return nullptr;
}

}  // namespace

bool can_be_base(const Graph& base, const Graph& graph) {
  return base.node_count == graph.node_count && base.tensors.size() == graph.tensors.size();
}

void append_graph(std::string& out, const Graph& graph, const Graph* base) {
  append_message(out, GraphMessage{graph, base});
}

Result<std::uint64_t> base_of(std::string_view payload) {
  FieldReader reader(payload);
  Preamble preamble;
  Preamble::fields(preamble, reader);
  if (reader.failed()) return malformed(Type::graph, reader.why());
  return preamble.base;
}

Result<Graph> read_graph(std::string_view payload, const Graph* base) {
  FieldReader reader(payload);
  Preamble preamble;
  Preamble::fields(preamble, reader);
  if (reader.failed()) return malformed(Type::graph, reader.why());
  if (preamble.base != (base != nullptr ? base->id : 0))
    return malformed(Type::graph, "its base is another one");
  if (preamble.change_count > reader.left() / kLeastChange) return malformed(Type::graph, "it is cut off");
  // A graph without a base says something about each tensor that it has: no memory for more than was sent.
  if (base == nullptr && preamble.change_count != preamble.tensor_count)
    return malformed(Type::graph, "it leaves out tensors");
  Graph graph;
  if (base != nullptr) graph = *base;
  graph.id = preamble.id;
  if (base == nullptr) {
    graph.node_count = preamble.node_count;
    graph.tensors.resize(preamble.tensor_count);
  }
  if (graph.node_count != preamble.node_count || graph.tensors.size() != preamble.tensor_count)
    return malformed(Type::graph, "its base has another size");
  std::uint32_t next = 0;
  for (std::uint32_t i = 0; i < preamble.change_count; ++i) {
    Change change;
    reader.number(change.index);
    reader.number(change.parts);
    if (reader.failed()) return malformed(Type::graph, reader.why());
    if (change.index < next || change.index >= preamble.tensor_count || (change.parts & ~part_all) != 0)
      return malformed(Type::graph, "a change that cannot be");
    next = change.index + 1;
    pass_parts(graph.tensors[change.index], change.parts, reader);
  }
  if (reader.failed()) return malformed(Type::graph, reader.why());
  if (reader.left() != 0) return malformed(Type::graph, "it is too long");
  if (const char* wrong = wrong_edge(graph)) return malformed(Type::graph, wrong);
  return graph;
}

}  // namespace caravan::fabric
