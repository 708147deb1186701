// Where the tensors of one GGUF file are. A reader of our own, because ggml's reports through one
// process-wide callback (which in llama-server's process is llama-server's), takes time that grows with the
// square of the number of names, and may throw: docs/decisions/0013. It accepts nothing that it understands
// differently from ggml's; a fuzz target compares the two.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace caravan::fabric {

/// A file, or bytes in memory. `read` copies up to `length` bytes at `offset` to `out` and says how many.
struct ByteReader {
  std::string name;  ///< for messages
  std::uint64_t size = 0;
  std::function<std::size_t(void* out, std::uint64_t offset, std::size_t length)> read;
};

/// Most tensors in one file: real models have up to 2,000.
inline constexpr std::uint64_t kMaxTensors = 16384;
/// Longest name, without the zero that ggml puts behind it (GGML_MAX_NAME).
inline constexpr std::size_t kMaxTensorName = 63;

struct GgufTensor {
  std::string name;
  std::uint32_t type = 0;  ///< a ggml_type that this build of ggml has
  std::array<std::uint64_t, 4> shape{1, 1, 1, 1};
  std::uint64_t offset = 0;  ///< from the beginning of the file, in bytes
  std::uint64_t bytes = 0;

  bool operator==(const GgufTensor&) const = default;
};

/// What a file says about its place among shards; {1, 0, 0} when it is no shard.
struct GgufSplit {
  std::uint32_t count = 1;
  std::uint32_t number = 0;   ///< from 0
  std::uint32_t tensors = 0;  ///< of all shards; 0 = not said

  bool operator==(const GgufSplit&) const = default;
};

struct GgufLayout {
  GgufSplit split;
  std::vector<GgufTensor> tensors;  ///< all end inside the file; in the file's order
};

/// Blocks as `source` does; needs little memory however large the header is. Code::incompatible with the
/// reason for what is no GGUF, truncated or damaged.
Result<GgufLayout> read_gguf_layout(const ByteReader& source);

/// The bytes that a tensor of `type` and `shape` has; nothing for types that this build of ggml does not
/// have, shapes that its blocks do not fit, and sizes of 2^62 and more.
std::optional<std::uint64_t> tensor_bytes(std::uint32_t type, const std::array<std::uint64_t, 4>& shape);

}  // namespace caravan::fabric
