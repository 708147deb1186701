// Lines from a person or a pipe, one after the other, with Ctrl-C told apart from the end.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace caravan::cli {

/// Reads a descriptor that it does not own. Not for descriptors that do not block.
class LineReader {
 public:
  explicit LineReader(int descriptor) : descriptor_(descriptor) {}

  /// The next line without its end; nothing at the end of the input. Blocks. Code::interrupted: SIGINT,
  /// SIGTERM or SIGHUP came while it waited (they only matter then). Code::exhausted: a line of more than 1
  /// MiB. `prompt` is printed to stdout once such a signal would be noticed: whoever reads it may press
  /// Ctrl-C.
  Result<std::optional<std::string>> next(std::string_view prompt = {});

 private:
  std::optional<std::string> take_line();

  int descriptor_;
  std::string pending_;
  bool ended_ = false;
};

}  // namespace caravan::cli
