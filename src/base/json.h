// JSON from outside, read once into structs: every access is checked and an error names the field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace caravan {

using Json = nlohmann::json;

/// Parses at most `max_bytes` of JSON. Code::invalid when it is longer, malformed or nested deeper than 64.
Result<Json> parse_json(std::string_view text, std::size_t max_bytes);

/// One line of JSON; invalid UTF-8 is replaced, never thrown at.
std::string dump_json(const Json& value);

/// The fields of one JSON object. Unknown fields are ignored. The first wrong field is remembered and later
/// reads return defaults, so that a reader is straight-line code with one check of error() at the end.
class Fields {
 public:
  /// `where` is the object's own name for messages, e.g. "workers[1]". `object` must outlive this.
  Fields(const Json& object, std::string where);

  std::string text(std::string_view name);
  std::string text_or(std::string_view name, std::string fallback);
  std::uint64_t whole(std::string_view name);  ///< a whole number from 0 to 2^53
  std::uint64_t whole_or(std::string_view name, std::uint64_t fallback);
  int small(std::string_view name);  ///< a whole number from 0 to 2^31 - 1
  int small_or(std::string_view name, int fallback);
  double number(std::string_view name);
  double number_or(std::string_view name, double fallback);
  bool flag_or(std::string_view name, bool fallback);
  /// An array of objects, or empty; absent is an error for `list`, and empty for `list_or_none`.
  std::vector<Json> list(std::string_view name);
  std::vector<Json> list_or_none(std::string_view name);
  /// An array of at most `most` texts; empty when it is absent or null.
  std::vector<std::string> texts_or_none(std::string_view name, std::size_t most);
  /// The object in the field, or nothing when it is absent or null.
  const Json* object_or_none(std::string_view name);

  /// Records an error of the caller's own check, unless there is one already.
  void fail(std::string_view name, std::string_view what);
  /// Takes over an error of a nested reader.
  void fail(const Error& error);

  bool ok() const { return !error_.has_value(); }
  const Error& error() const { return error_.value(); }

 private:
  const Json* find(std::string_view name, bool required);
  void wrong_type(std::string_view name, std::string_view expected);

  const Json* object_;
  std::string where_;
  std::optional<Error> error_;
};

/// {"code","message","hint"}: how an Error crosses a socket.
Json to_json(const Error& error);
Error error_from_json(const Json& value);

}  // namespace caravan
