#include "base/json.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace caravan {
namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::uint64_t kMaxExactInteger = 1ULL
                                           << 53U;  // what every JSON reader can hold (RFC 8259, section 6)

/// Depth of brackets outside strings; a cheap bound before the recursive parser sees the text.
std::size_t nesting_of(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Error{Code::invalid, fmt::format("JSON of {} bytes, at most {} are taken", text.size(), max_bytes),
                 ""};
  }
  if (nesting_of(text) > kMaxDepth) {
    return Error{Code::invalid, fmt::format("JSON nested deeper than {}", kMaxDepth), ""};
  }
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return Error{Code::invalid, "not valid JSON", ""};
  return value;
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

Fields::Fields(const Json& object, std::string where) : object_(&object), where_(std::move(where)) {
  if (!object.is_object()) error_ = Error{Code::invalid, fmt::format("{} must be an object", where_), ""};
}

const Json* Fields::find(std::string_view name, bool required) {
  if (error_) return nullptr;
  const auto found = object_->find(name);
  if (found != object_->end() && !found->is_null()) return &*found;
  if (required) error_ = Error{Code::invalid, fmt::format("{}: '{}' is missing", where_, name), ""};
  return nullptr;
}

void Fields::wrong_type(std::string_view name, std::string_view expected) {
  fail(name, fmt::format("must be {}", expected));
}

void Fields::fail(std::string_view name, std::string_view what) {
  if (!error_) error_ = Error{Code::invalid, fmt::format("{}: '{}' {}", where_, name, what), ""};
}

void Fields::fail(const Error& error) {
  if (!error_) error_ = error;
}

std::string Fields::text(std::string_view name) {
  const Json* value = find(name, true);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  wrong_type(name, "a string");
  return {};
}

std::string Fields::text_or(std::string_view name, std::string fallback) {
  return find(name, false) == nullptr ? std::move(fallback) : text(name);
}

std::uint64_t Fields::whole(std::string_view name) {
  const Json* value = find(name, true);
  if (value == nullptr) return 0;
  const bool usable = value->is_number_unsigned() && value->get<std::uint64_t>() <= kMaxExactInteger;
  if (usable) return value->get<std::uint64_t>();
  wrong_type(name, "a whole number from 0 to 2^53");
  return 0;
}

std::uint64_t Fields::whole_or(std::string_view name, std::uint64_t fallback) {
  return find(name, false) == nullptr ? fallback : whole(name);
}

int Fields::small(std::string_view name) {
  const std::uint64_t value = whole(name);
  if (value <= static_cast<std::uint64_t>(std::numeric_limits<int>::max())) return static_cast<int>(value);
  wrong_type(name, "below 2^31");
  return 0;
}

int Fields::small_or(std::string_view name, int fallback) {
  return find(name, false) == nullptr ? fallback : small(name);
}

double Fields::number(std::string_view name) {
  const Json* value = find(name, true);
  if (value == nullptr) return 0;
  if (value->is_number()) return value->get<double>();
  wrong_type(name, "a number");
  return 0;
}

double Fields::number_or(std::string_view name, double fallback) {
  return find(name, false) == nullptr ? fallback : number(name);
}

bool Fields::flag_or(std::string_view name, bool fallback) {
  const Json* value = find(name, false);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  wrong_type(name, "true or false");
  return fallback;
}

std::vector<Json> Fields::list(std::string_view name) {
  const Json* value = find(name, true);
  if (value == nullptr) return {};
  if (value->is_array()) return value->get<std::vector<Json>>();
  wrong_type(name, "a list");
  return {};
}

std::vector<Json> Fields::list_or_none(std::string_view name) {
  return find(name, false) == nullptr ? std::vector<Json>{} : list(name);
}

std::vector<std::string> Fields::texts_or_none(std::string_view name, std::size_t most) {
  const Json* value = find(name, false);
  if (value == nullptr) return {};
  const bool usable =
      value->is_array() && value->size() <= most &&
      std::all_of(value->begin(), value->end(), [](const Json& text) { return text.is_string(); });
  if (usable) return value->get<std::vector<std::string>>();
  fail(name, fmt::format("must be a list of at most {} texts", most));
  return {};
}

const Json* Fields::object_or_none(std::string_view name) {
  const Json* value = find(name, false);
  if (value == nullptr) return nullptr;
  if (value->is_object()) return value;
  wrong_type(name, "an object");
  return nullptr;
}

Json to_json(const Error& error) {
  return {{"code", name_of(error.code)}, {"message", error.message}, {"hint", error.hint}};
}

Error error_from_json(const Json& value) {
  Fields fields(value, "error");
  Error error{code_from_name(fields.text_or("code", "bug")), fields.text_or("message", "unknown error"),
              fields.text_or("hint", "")};
  return fields.ok() ? error : Error{Code::bug, "an error that could not be read", ""};
}

}  // namespace caravan
