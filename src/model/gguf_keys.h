// Typed, total access to the metadata and tensors of a GGUF that ggml has parsed. ggml's own accessors abort
// the process on a wrong type; these return nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gguf.h>

namespace caravan::model {

class GgufKeys {
 public:
  /// `gguf` must outlive this.
  explicit GgufKeys(const gguf_context& gguf) : gguf_(gguf) {}

  std::optional<std::string> text(const std::string& key) const;
  /// Any integer type or bool, when the value is not negative.
  std::optional<std::uint64_t> whole(const std::string& key) const;
  /// `count` values: an array of at least that many, or one value for all of them. Negative values make it
  /// nothing.
  std::optional<std::vector<std::uint64_t>> whole_list(const std::string& key, std::size_t count) const;
  bool has(const std::string& key) const;
  /// How many values an array has; nothing when it is none.
  std::optional<std::uint64_t> length(const std::string& key) const;

 private:
  const gguf_context& gguf_;
};

struct GgufTensor {
  std::string name;
  ggml_type type = GGML_TYPE_F32;
  std::uint64_t bytes = 0;
  std::uint64_t end = 0;      ///< offset behind its last byte, from the beginning of the file
  std::uint64_t columns = 0;  ///< first dimension: what goes in
  std::uint64_t rows = 0;     ///< second dimension: what comes out; for token_embd.weight, the vocabulary
  std::uint64_t weights = 0;  ///< how many numbers it holds
};

/// Nothing when a size or an offset overflows: ggml's own arithmetic wraps around there.
std::optional<GgufTensor> tensor_of(const gguf_context& gguf, std::int64_t index);

/// N of "blk.N.whatever", or nothing.
std::optional<std::size_t> layer_of_tensor(std::string_view name);

/// Name of a value of general.file_type ("Q4_K_M" for 15), or "".
std::string_view name_of_file_type(std::uint64_t file_type);

}  // namespace caravan::model
