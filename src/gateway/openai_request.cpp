#include "gateway/openai_request.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"

namespace caravan::gateway {
namespace {

constexpr int kMaxDepth = 64;  // deep schemas take llama-server's stack with them
constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::min();

/// Kinds of JSON values, to be combined.
enum Kind : unsigned { boolean = 1, whole = 2, fraction = 4, text = 8, list = 16, object = 32, null = 64 };

struct Field {
  std::string_view name;
  unsigned kinds;
  std::string_view expected;
  std::int64_t least = kAny;
};

constexpr std::string_view kTokenCount = "a whole number from 0 (or -1: no limit)";

constexpr std::array kFields{
    Field{"messages", list, "a list"},
    Field{"prompt", text | list, "a string or a list"},
    Field{"model", text, "a string"},
    Field{"stream", boolean, "true or false"},
    Field{"stream_options", object, "an object"},
    Field{"max_tokens", whole, kTokenCount, -1},
    Field{"max_completion_tokens", whole, kTokenCount, -1},
    Field{"n", whole, "a whole number from 1", 1},
    Field{"seed", whole, "a whole number"},
    Field{"temperature", whole | fraction, "a number"},
    Field{"top_p", whole | fraction, "a number"},
    Field{"presence_penalty", whole | fraction, "a number"},
    Field{"frequency_penalty", whole | fraction, "a number"},
    Field{"stop", text | list, "a string or a list"},
    Field{"tools", list, "a list"},
    Field{"response_format", object, "an object"},
    Field{"user", text, "a string"},
};

constexpr std::array kMessageFields{
    Field{"role", text, "a string"},
    Field{"content", text | list, "a string, a list or null"},
};

/// Reads the body once, value by value, and stops at the first that is wrong.
class Reader final : public nlohmann::json_sax<Json> {
 public:
  bool stream = false;
  std::string model;
  bool has_prompt = false;
  std::size_t messages = 0;
  std::optional<ApiError> failure;
  PromptHasher prompt;

  bool null() override { return value(Kind::null); }
  bool boolean(bool yes) override {
    if (depth_ == 1 && key_ == "stream") stream = yes;
    return value(Kind::boolean);
  }
  bool number_integer(std::int64_t number) override { return value(whole, number); }
  bool number_unsigned(std::uint64_t number) override {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
    return value(whole, static_cast<std::int64_t>(std::min(number, kMost)));
  }
  bool number_float(double /*number*/, const std::string& /*text*/) override { return value(fraction); }
  bool string(std::string& read) override {
    if (in_messages_ || in_prompt_) prompt.add(read);
    if (depth_ == 1 && key_ == "model") model = read;
    return value(text);
  }
  bool binary(Json::binary_t& /*bytes*/) override { return false; }

  bool start_object(std::size_t /*elements*/) override {
    if (depth_ == 2 && in_messages_) has_role_ = false;
    return value(object) && enter();
  }
  bool start_array(std::size_t /*elements*/) override {
    if (depth_ == 1) {
      in_messages_ = key_ == "messages";
      if (in_messages_) messages = 0;
      if (in_messages_) prompt = PromptHasher();
    }
    return value(list) && enter();
  }
  bool end_object() override {
    --depth_;
    if (depth_ != 2 || !in_messages_) return true;
    if (!has_role_) return fail(place("role"), "is missing");
    ++messages;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(std::string& name) override {
    if (depth_ == 1) {
      // The last field of a name counts.
      if (name == "stream") stream = false;
      if (name == "model") model.clear();
      in_messages_ = false;
      in_prompt_ = name == "prompt";
      if (in_prompt_) prompt = PromptHasher();
      key_ = name;
    }
    if (depth_ == 3) message_key_ = name;
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    failure = ApiError{400, fmt::format("the request's body is no valid JSON: see byte {}", position), "",
                       "invalid_json"};
    return false;
  }

 private:
  bool enter() {
    if (++depth_ <= kMaxDepth) return true;
    failure = ApiError{400, fmt::format("the request's body is nested deeper than {}", kMaxDepth), "",
                       "invalid_json"};
    return false;
  }

  std::string place(std::string_view message_field) const {
    return message_field.empty() ? fmt::format("messages[{}]", messages)
                                 : fmt::format("messages[{}].{}", messages, message_field);
  }

  bool value(Kind kind, std::int64_t number = 0) {
    if (depth_ == 0 && kind != object) return fail("", "the request's body must be an object");
    if (depth_ == 1) {
      if (key_ == "prompt" && kind != Kind::null) has_prompt = true;
      return check(kFields, key_, key_, kind, number);
    }
    if (depth_ == 2 && in_messages_ && kind != object) return fail(place(""), "must be an object");
    if (depth_ == 3 && in_messages_) {
      if (message_key_ == "role") has_role_ = true;
      return check(kMessageFields, message_key_, place(message_key_), kind, number);
    }
    return true;
  }

  bool check(std::span<const Field> fields, std::string_view name, const std::string& param, Kind kind,
             std::int64_t number) {
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == name; });
    const bool required_in_message = name == "role" && depth_ == 3;
    if (field == fields.end() || (kind == Kind::null && !required_in_message)) return true;
    if ((field->kinds & kind) != 0 && number >= (kind == whole ? field->least : kAny)) return true;
    return fail(param, fmt::format("must be {}", field->expected));
  }

  bool fail(const std::string& param, std::string_view what) {
    const std::string message = param.empty() ? std::string(what) : fmt::format("'{}' {}", param, what);
    failure = ApiError{400, message, param, "invalid_value"};
    return false;
  }

  int depth_ = 0;
  std::string key_;
  std::string message_key_;
  bool in_messages_ = false;
  bool in_prompt_ = false;
  bool has_role_ = false;
};

}  // namespace

std::variant<GenerationRequest, ApiError> check_generation_request(Endpoint endpoint, std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return ApiError{400, "the request has no body", "", "invalid_json"};
  }
  Reader reader;
  if (!Json::sax_parse(body, &reader)) {
    return reader.failure.value_or(ApiError{400, "the request's body is no valid JSON", "", "invalid_json"});
  }
  if (endpoint == Endpoint::chat && reader.messages == 0) {
    return ApiError{400, "'messages' must be a list with at least one message", "messages", "invalid_value"};
  }
  if (endpoint == Endpoint::completion && !reader.has_prompt) {
    return ApiError{400, "'prompt' is missing", "prompt", "invalid_value"};
  }
  return GenerationRequest{endpoint, reader.stream, std::move(reader.model), reader.prompt.prefix()};
}

}  // namespace caravan::gateway
