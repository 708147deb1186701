// How a fact gets from a file of the system to a value, and what is said when it does not: shared by the
// readers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace caravan::device {

/// A fact that the system does not tell. That is a state to show, not an error.
struct HiddenFact {
  std::string fact;  ///< the name of its JSON field, e.g. "battery"
  std::string why;
  std::string cure;  ///< what would reveal it, or empty
};
using HiddenFacts = std::vector<HiddenFact>;

bool is_hidden(const HiddenFacts& hidden, std::string_view fact);

/// A file of /proc or /sys, at most 1 MiB.
Result<std::string> read_text(const fs::path& path);
/// Its first line, trimmed; nothing when it cannot be read or is empty.
std::optional<std::string> read_line(const fs::path& path);
/// A file that holds one whole number and nothing else.
std::optional<std::int64_t> read_integer(const fs::path& path);

/// Names in a folder that begin with `prefix`, "cpu2" before "cpu10", at most 4096.
Result<std::vector<std::string>> names_in(const fs::path& folder, std::string_view prefix);

/// Whether it exists as far as this program may see.
bool is_there(const fs::path& path);

/// Why a file could not be read, for a person: it is not there, or reading it is not allowed.
std::string why(const Error& error);

/// A whole number, white space around it allowed.
std::optional<std::int64_t> parse_integer(std::string_view text);
/// A number like "-12.75": no exponent, at most 15 digits. (strtod follows the locale, from_chars is missing
/// in libc++.)
std::optional<double> parse_decimal(std::string_view text);
/// The rest of the first line that begins with `key`, trimmed.
std::optional<std::string> value_after(std::string_view text, std::string_view key);
/// A list of CPUs as in cpuset(7), "0-3,7": sorted, without repetition. Nothing when malformed or above
/// CPU 4095.
std::optional<std::vector<int>> parse_cpu_list(std::string_view text);

}  // namespace caravan::device
