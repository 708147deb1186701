// What a file that is not a GGUF looks like from its first bytes, for a message that helps.
#pragma once

#include <optional>
#include <string_view>

namespace caravan::model {

struct Foreign {
  std::string_view what;  ///< "a web page"
  std::string_view cure;
};

/// Nothing when `head`, the first bytes of a file (64 are enough), begins as a GGUF does.
std::optional<Foreign> recognise_foreign(std::string_view head);

}  // namespace caravan::model
