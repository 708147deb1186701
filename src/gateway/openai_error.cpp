#include "gateway/openai_error.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"

namespace caravan::gateway {
namespace {

constexpr std::size_t kMaxErrorBody = std::size_t{1} << 20U;
constexpr std::size_t kMaxQuotedText = 300;

/// OpenAI's own words for each class of status.
std::string_view type_of(unsigned status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "unavailable_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

Json text_or_null(std::string_view text) { return text.empty() ? Json(nullptr) : Json(text); }

/// The member if it is a string that says something.
std::string text_in(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::string error_body(const ApiError& error) {
  return dump_json({{"error",
                     {{"message", error.message},
                      {"type", type_of(error.status)},
                      {"param", text_or_null(error.param)},
                      {"code", text_or_null(error.code)}}}});
}

std::string normalized_error_body(unsigned status, std::string_view upstream_body) {
  const auto parsed = parse_json(upstream_body, kMaxErrorBody);
  if (parsed.ok() && parsed->is_object()) {
    const auto inner = parsed->find("error");
    if (inner != parsed->end() && inner->is_object()) {
      ApiError error{status, text_in(*inner, "message"), text_in(*inner, "param"), text_in(*inner, "code")};
      // The name that libraries look for when they shorten a conversation and try again.
      if (text_in(*inner, "type") == "exceed_context_size_error") error.code = "context_length_exceeded";
      if (!error.message.empty()) return error_body(error);
    }
    if (inner != parsed->end() && inner->is_string()) {
      return error_body(ApiError{status, inner->get<std::string>(), "", ""});
    }
  }
  const std::string quoted = printable(upstream_body.substr(0, kMaxQuotedText));
  return error_body(ApiError{status,
                             quoted.empty() ? fmt::format("llama-server answered {} without a word", status)
                                            : fmt::format("llama-server answered {}: {}", status, quoted),
                             "", ""});
}

}  // namespace caravan::gateway
