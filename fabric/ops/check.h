// Which operations a worker takes, and what each asks of its sources. The engine trusts whoever builds a
// graph: what does not fit ends its process, or reads and writes elsewhere. Everything that its CPU kernels
// take for granted (ggml-cpu/ops.cpp, ggml-cpu.c, repack.cpp, binary-ops.cpp and unary-ops.cpp of llama.cpp
// v0.5.0) is asked for here before a node is taken. The module asks the same in supports_op, so that what a
// worker would refuse runs elsewhere.
#pragma once

#include <cstdint>

#include <ggml.h>

namespace caravan::fabric::ops {

/// Null when a worker can run `node`, else what does not fit: words for the end of a sentence that begins
/// with the operation's name. Looks at types, shapes, strides, op_params and sources, not at data: their
/// bytes must lie in their buffers (see reach), strides be at least a type's size.
const char* why_not(const ggml_tensor& node);

/// Bytes that `node` may read from the beginning of source `index`, beyond what ggml_nbytes says; 0 where
/// that is all.
std::uint64_t reach(const ggml_tensor& node, int index);

/// The source whose values are row numbers: below 0 or at `limit` and above they end the process. A node has
/// at most one.
struct RowNumbers {
  int source = -1;         ///< -1: none
  std::int64_t limit = 0;  ///< of each number
  bool distinct = false;   ///< the numbers of a row must differ from each other
};
RowNumbers row_numbers(const ggml_tensor& node);

/// True when values of source 0 that are no numbers (NaN) can make the kernel leave its memory.
bool needs_numbers(const ggml_tensor& node);

/// True for nodes that only look at memory in another way.
bool is_view_only(ggml_op op);

}  // namespace caravan::fabric::ops
