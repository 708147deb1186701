// The header of one GGUF file, parsed by ggml behind checks that ggml does not make itself.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gguf.h>

#include "base/result.h"
#include "model/gguf.h"
#include "model/gguf_keys.h"

namespace caravan::model {

/// No model's header is larger: with a vocabulary of 262,144 it has 16 MiB.
inline constexpr Bytes kMaxHeader = mebibytes(64);

struct FreeGguf {
  void operator()(gguf_context* gguf) const { gguf_free(gguf); }
};
using Gguf = std::unique_ptr<gguf_context, FreeGguf>;

struct GgufHeader {
  Gguf gguf;
  std::vector<GgufTensor> tensors;  ///< all of them end inside the file; may be none
};

/// Reads and checks. Blocks as `source` does. Code::incompatible with the reason for what is foreign,
/// truncated or corrupt.
Result<GgufHeader> read_header(const ByteSource& source);

/// Code::incompatible: "NAME what".
Error refuse(const ByteSource& source, std::string_view what, std::string hint);
/// Code::incompatible: "NAME is corrupt: why".
Error corrupt(const ByteSource& source, std::string_view why);

}  // namespace caravan::model
