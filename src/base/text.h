// Small text helpers: splitting, joining, guessing what was meant.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace caravan {

/// Pieces between separators; "" gives one empty piece.
std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> pieces, std::string_view separator);
std::string_view trim(std::string_view text);

/// The candidate nearest to `word` by edit distance when it is near enough to be a typing error, else "".
/// Ties go to the candidate that comes first.
std::string closest_match(std::string_view word, std::span<const std::string> candidates);

/// `text` with control characters (terminal escapes among them) replaced by '?': what came from outside may
/// be printed.
std::string printable(std::string_view text);

}  // namespace caravan
