#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include <fmt/format.h>
#include <ggml-backend-impl.h>
#include <ggml-impl.h>

#include "fabric/ops/check.h"
#include "fabric/worker/graphs.h"
#include "fabric/worker/tensor_size.h"

namespace caravan::fabric::worker {
namespace {

static_assert(GGML_MAX_DIMS == kDims && GGML_MAX_SRC == kMaxSources);
static_assert(GGML_MAX_OP_PARAMS / sizeof(std::int32_t) == kMaxParameters);

constexpr std::uint32_t kKnownFlags = GGML_TENSOR_FLAG_INPUT | GGML_TENSOR_FLAG_OUTPUT |
                                      GGML_TENSOR_FLAG_PARAM | GGML_TENSOR_FLAG_LOSS |
                                      GGML_TENSOR_FLAG_COMPUTE;
/// Working memory of the CPU besides buffers.
constexpr std::uint64_t kMaxWorkBytes = std::uint64_t{4} << 30U;

/// Others are in a graph for their place only: such as slices of split tensors without values.
bool is_computed(const ggml_tensor& node) {
  return (node.flags & GGML_TENSOR_FLAG_COMPUTE) != 0 && !ggml_is_empty(&node);
}

bool writes(const ggml_tensor& node) { return !ops::is_view_only(node.op); }

/// Row `row` of a tensor of row numbers, as the kernels see it.
std::int64_t number_at(const ggml_tensor& ids, std::int64_t i0, const char* row) {
  const char* at = row + static_cast<std::uint64_t>(i0) * ids.nb[0];
  if (ids.type == GGML_TYPE_I64) {
    std::int64_t value = 0;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  std::int32_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

/// Calls `each(row)` with the first byte of every row until it returns false; false then.
template <typename Each>
bool all_rows(const ggml_tensor& tensor, const std::string& bytes, Each each) {
  if (ggml_is_empty(&tensor)) return true;
  for (std::int64_t i3 = 0; i3 < tensor.ne[3]; ++i3) {
    for (std::int64_t i2 = 0; i2 < tensor.ne[2]; ++i2) {
      for (std::int64_t i1 = 0; i1 < tensor.ne[1]; ++i1) {
        const std::uint64_t at = static_cast<std::uint64_t>(i1) * tensor.nb[1] +
                                 static_cast<std::uint64_t>(i2) * tensor.nb[2] +
                                 static_cast<std::uint64_t>(i3) * tensor.nb[3];
        if (!each(bytes.data() + at)) return false;
      }
    }
  }
  return true;
}

const char* wrong_row_number(const ggml_tensor& ids, const std::string& bytes,
                             const ops::RowNumbers& wanted) {
  std::vector<std::int64_t> row_numbers(static_cast<std::size_t>(wanted.distinct ? ids.ne[0] : 0));
  const char* wrong = nullptr;
  all_rows(ids, bytes, [&](const char* row) {
    for (std::int64_t i = 0; i < ids.ne[0]; ++i) {
      const std::int64_t number = number_at(ids, i, row);
      if (number < 0 || number >= wanted.limit) wrong = "has a row number that is out of range";
      if (wanted.distinct) row_numbers[static_cast<std::size_t>(i)] = number;
    }
    std::sort(row_numbers.begin(), row_numbers.end());
    if (std::adjacent_find(row_numbers.begin(), row_numbers.end()) != row_numbers.end())
      wrong = "has a row number twice";
    return wrong == nullptr;
  });
  return wrong;
}

const char* wrong_value(const ggml_tensor& values, const std::string& bytes) {
  const bool numbers = all_rows(values, bytes, [&](const char* row) {
    for (std::int64_t i = 0; i < values.ne[0]; ++i) {
      float value = 0;
      std::memcpy(&value, row + static_cast<std::uint64_t>(i) * values.nb[0], sizeof(value));
      if (std::isnan(value)) return false;
    }
    return true;
  });
  return numbers ? nullptr : "would sort values that are no numbers";
}

/// What is seen through a view is in the view's own buffer; the engine would look for it in that of the
/// tensor that is viewed, which may have none here, and would end the process.
std::string bytes_of(const ggml_tensor& tensor) {
  std::string bytes(ggml_nbytes(&tensor), '\0');
  ggml_tensor plain = tensor;
  plain.view_src = nullptr;
  if (!bytes.empty()) ggml_backend_tensor_get(&plain, bytes.data(), 0, bytes.size());
  return bytes;
}

}  // namespace

Error RunnableGraph::about(std::uint32_t index, const char* why) const {
  const std::uint16_t op = graph_.tensors[index].op;
  const char* name = op < GGML_OP_COUNT ? ggml_op_name(static_cast<ggml_op>(op)) : "?";
  return {Code::invalid, fmt::format("tensor {} of graph {} ({}) {}", index, graph_.id, name, why),
          "run this model with --data-path rpc"};
}

Result<std::unique_ptr<RunnableGraph>> RunnableGraph::make(Graph graph, const Memory& memory,
                                                           const ComputeDevice& device) {
  std::unique_ptr<RunnableGraph> made(new RunnableGraph(std::move(graph)));
  if (const auto placed = made->place_tensors(memory); !placed) return placed.error();
  if (const auto connected = made->connect_tensors(); !connected) return connected.error();
  if (const auto checked = made->check_nodes(memory, device); !checked) return checked.error();
  if (const auto built = made->make_ggml_graph(device); !built) return built.error();
  made->plan_data_checks();
  return made;
}

Result<void> RunnableGraph::place_tensors(const Memory& memory) {
  tensors_.resize(graph_.tensors.size());
  spans_.resize(graph_.tensors.size());
  repacked_.resize(graph_.tensors.size());
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    if (const auto placed = place_tensor(i, memory); !placed) return placed.error();
  }
  return {};
}

Result<void> RunnableGraph::place_tensor(std::uint32_t index, const Memory& memory) {
  const GraphTensor& from = graph_.tensors[index];
  ggml_tensor& to = tensors_[index];
  const auto size = span(from.type, from.ne, from.nb);
  if (!size) return about(index, "has a type, shape or strides that cannot be");
  if (from.op >= GGML_OP_COUNT) return about(index, "is of an operation that does not exist");
  if ((from.flags & ~kKnownFlags) != 0) return about(index, "has flags that nobody knows");
  spans_[index] = *size;
  to.type = static_cast<ggml_type>(from.type);
  to.op = static_cast<ggml_op>(from.op);
  to.flags = static_cast<std::int32_t>(from.flags);
  std::copy(from.ne.begin(), from.ne.end(), to.ne);
  std::copy(from.nb.begin(), from.nb.end(), to.nb);
  std::copy(from.parameters.begin(), from.parameters.end(), to.op_params);
  if (from.buffer == kNoBuffer) return *size == 0 ? Result<void>() : about(index, "has no memory");
  const Region region{from.buffer, from.offset, *size};
  if (const auto there = memory.check(region); !there) return about(index, "is not all in its buffer");
  if (from.offset % alignment_of(from.type) != 0) return about(index, "is not aligned");
  buffers_[from.buffer] = memory.generation(from.buffer);
  to.buffer = memory.buffer(from.buffer);
  to.data = memory.address(from.buffer, from.offset);
  if (memory.readable(region)) return {};
  const ggml_tensor* weight = memory.repacked_at(from.buffer, from.offset);
  const bool same = weight != nullptr && from.op == GGML_OP_NONE && from.view_source == kNoView &&
                    weight->type == to.type && std::equal(to.ne, to.ne + kDims, weight->ne) &&
                    std::equal(to.nb, to.nb + kDims, weight->nb);
  if (!same)
    return about(index, "looks at part of a weight that is kept repacked, or at one that is not whole");
  to.buffer = weight->buffer;
  to.extra = weight->extra;
  repacked_[index] = true;
  return {};
}

Result<void> RunnableGraph::connect_tensors() {
  other_.type = GGML_TYPE_I8;
  std::fill(std::begin(other_.ne), std::end(other_.ne), 1);
  std::fill(std::begin(other_.nb), std::end(other_.nb), 1);
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    const GraphTensor& from = graph_.tensors[i];
    ggml_tensor& to = tensors_[i];
    for (std::size_t k = 0; k < from.sources.size(); ++k) {
      if (from.sources.at(k) == kNoSource) continue;
      if (from.sources.at(k) == i && (to.op != GGML_OP_CPY || k != 1))
        return about(i, "is a source of itself");
      to.src[k] = &tensors_[from.sources.at(k)];
    }
    // What is not computed is nothing to any kernel: its sources need not fit (ggml does not shrink those of
    // split graphs without rows), and nobody looks at them.
    if (i < graph_.node_count && !is_computed(to)) {
      to.op = GGML_OP_NONE;
      std::fill(std::begin(to.src), std::end(to.src), nullptr);
    }
    if (from.view_source == kNoView) continue;
    if (from.view_source == i) return about(i, "is a view of itself");
    to.view_src = from.view_source == kViewOfOther ? &other_ : &tensors_[from.view_source];
    to.view_offs = from.view_offset;
  }
  for (ggml_tensor& tensor : tensors_) {
    // Some devices keep things of their own for each tensor. A repacked weight has its already.
    if (tensor.buffer == nullptr || tensor.extra != nullptr || ggml_backend_buffer_is_host(tensor.buffer))
      continue;
    if (ggml_backend_buffer_init_tensor(tensor.buffer, &tensor) != GGML_STATUS_SUCCESS)
      return Error{Code::unavailable, "the device does not take a tensor",
                   "run this model with --data-path rpc"};
  }
  return {};
}

Result<void> RunnableGraph::check_nodes(const Memory& memory, const ComputeDevice& device) const {
  for (std::uint32_t i = 0; i < graph_.node_count; ++i) {
    const ggml_tensor& node = tensors_[i];
    if (!is_computed(node)) continue;
    for (std::size_t k = 0; k < kMaxSources; ++k) {
      const std::uint32_t source = graph_.tensors[i].sources.at(k);
      if (source == kNoSource || !repacked_[source]) continue;
      const bool product = (node.op == GGML_OP_MUL_MAT || node.op == GGML_OP_MUL_MAT_ID) && k == 0;
      // The repacked kernels know three dimensions.
      if (!product || node.ne[3] != 1) return about(i, "uses a weight that is kept repacked");
    }
    if (const char* why = ops::why_not(node)) return about(i, why);
    if (const auto within = check_reach(i, memory); !within) return within.error();
    // Where a kernel writes must not be where it looks up rows, or sorts by: that would change under its
    // hands.
    const int looked_up = ops::needs_numbers(node) ? 0 : ops::row_numbers(node).source;
    if (looked_up >= 0 && overlap(i, graph_.tensors[i].sources.at(static_cast<std::size_t>(looked_up))))
      return about(i, "writes where it looks up rows");
    if (!ggml_backend_dev_supports_op(device.handle(), &node))
      return about(i, "is not what the device can do");
  }
  return {};
}

Result<void> RunnableGraph::check_reach(std::uint32_t index, const Memory& memory) const {
  for (int k = 0; k < kMaxSources; ++k) {
    if (tensors_[index].src[k] == nullptr) continue;
    const std::uint64_t size = ops::reach(tensors_[index], k);
    const GraphTensor& source = graph_.tensors[graph_.tensors[index].sources.at(static_cast<std::size_t>(k))];
    if (size != 0 && !memory.check({source.buffer, source.offset, size}))
      return about(index, "reads beyond a buffer");
  }
  return {};
}

Result<void> RunnableGraph::make_ggml_graph(const ComputeDevice& device) {
  const ggml_init_params parameters{
      ggml_graph_overhead_custom(graph_.node_count, false) + ggml_tensor_overhead(), nullptr, true};
  context_.reset(ggml_init(parameters));
  if (!context_) return Error{Code::exhausted, "no memory for a graph", "load fewer models"};
  ggml_graph_ = ggml_new_graph_custom(context_.get(), graph_.node_count, false);
  for (std::uint32_t i = 0; i < graph_.node_count; ++i) {
    ggml_graph_->nodes[i] = &tensors_[i];
    const std::size_t place = ggml_hash_insert(&ggml_graph_->visited_hash_set, &tensors_[i]);
    ggml_graph_->use_counts[place] = static_cast<std::int32_t>(std::min(graph_.tensors[i].uses, 1U << 30U));
  }
  ggml_graph_->n_nodes = static_cast<int>(graph_.node_count);
  if (device.work_size(ggml_graph_) > kMaxWorkBytes)
    return Error{Code::exhausted, "a graph needs too much working memory", "use a smaller micro-batch"};
  return {};
}

bool RunnableGraph::uses(std::uint32_t buffer) const { return buffers_.count(buffer) != 0; }

bool RunnableGraph::holds(const Memory& memory) const {
  return std::all_of(buffers_.begin(), buffers_.end(),
                     [&memory](const auto& used) { return memory.generation(used.first) == used.second; });
}

bool RunnableGraph::overlap(std::uint32_t a, std::uint32_t b) const {
  const auto* begin_a = static_cast<const char*>(tensors_[a].data);
  const auto* begin_b = static_cast<const char*>(tensors_[b].data);
  return spans_[a] > 0 && spans_[b] > 0 && begin_a < begin_b + spans_[b] && begin_b < begin_a + spans_[a];
}

std::uint32_t RunnableGraph::when_to_check(std::uint32_t node, int source) const {
  const std::uint32_t read = graph_.tensors[node].sources.at(static_cast<std::size_t>(source));
  for (std::uint32_t i = node; i-- > 0;) {
    if (writes(tensors_[i]) && overlap(i, read)) return node;
  }
  return 0;
}

void RunnableGraph::plan_data_checks() {
  for (std::uint32_t i = 0; i < graph_.node_count; ++i) {
    const ggml_tensor& node = tensors_[i];
    if (!writes(node)) continue;
    if (ops::needs_numbers(node)) checks_.push_back({when_to_check(i, 0), &node});
    const ops::RowNumbers wanted = ops::row_numbers(node);
    if (wanted.source >= 0 && !sorts_make(i, wanted))
      checks_.push_back({when_to_check(i, wanted.source), &node});
  }
  std::stable_sort(checks_.begin(), checks_.end(),
                   [](const DataCheck& a, const DataCheck& b) { return a.before < b.before; });
}

bool RunnableGraph::sorts_make(std::uint32_t node, const ops::RowNumbers& wanted) const {
  const std::uint32_t ids = graph_.tensors[node].sources.at(static_cast<std::size_t>(wanted.source));
  const ggml_tensor& numbers = tensors_[ids];
  const auto* begin = static_cast<const char*>(numbers.data);
  for (std::uint32_t i = node; i-- > 0;) {
    const ggml_tensor& maker = tensors_[i];
    const auto* written = static_cast<const char*>(maker.data);
    if (!writes(maker) || !overlap(i, ids)) continue;
    const bool sorts =
        (maker.op == GGML_OP_ARGSORT || maker.op == GGML_OP_TOP_K) && maker.src[0]->ne[0] <= wanted.limit;
    if (!sorts || written > begin || begin + spans_[ids] > written + spans_[i]) return false;
    // Rows of its rows: what a sort gives is within range, and no number is twice in a row.
    // (They follow each other; the stride of a single row may be anything.)
    const std::uint64_t row = static_cast<std::uint64_t>(maker.ne[0]) * sizeof(std::int32_t);
    const std::uint64_t in_row = static_cast<std::uint64_t>(begin - written) % row;
    return numbers.type == GGML_TYPE_I32 && numbers.nb[0] == sizeof(std::int32_t) && numbers.ne[2] == 1 &&
           numbers.ne[3] == 1 && (numbers.ne[1] == 1 || numbers.nb[1] == row) &&
           in_row + static_cast<std::uint64_t>(numbers.ne[0]) * sizeof(std::int32_t) <= row;
  }
  return false;
}

Result<void> RunnableGraph::check_data(const DataCheck& check) const {
  const auto index = static_cast<std::uint32_t>(check.node - tensors_.data());
  if (ops::needs_numbers(*check.node)) {
    const char* wrong = wrong_value(*check.node->src[0], bytes_of(*check.node->src[0]));
    return wrong != nullptr ? about(index, wrong) : Result<void>();
  }
  const ops::RowNumbers wanted = ops::row_numbers(*check.node);
  const ggml_tensor& ids = *check.node->src[wanted.source];
  const char* wrong = wrong_row_number(ids, bytes_of(ids), wanted);
  return wrong != nullptr ? about(index, wrong) : Result<void>();
}

Result<void> RunnableGraph::run(const ComputeDevice& device) {
  std::uint32_t next = 0;
  for (const DataCheck& check : checks_) {
    if (check.before > next) {
      ggml_cgraph part = ggml_graph_view(ggml_graph_, static_cast<int>(next), static_cast<int>(check.before));
      if (const auto done = device.compute(&part); !done) return done.error();
      next = check.before;
    }
    if (const auto checked = check_data(check); !checked) return checked.error();
  }
  if (next == 0) return device.compute(ggml_graph_);
  ggml_cgraph rest =
      ggml_graph_view(ggml_graph_, static_cast<int>(next), static_cast<int>(graph_.node_count));
  return device.compute(&rest);
}

}  // namespace caravan::fabric::worker
