#include "device/termux.h"

#include <cmath>

#include "base/text.h"

namespace caravan::device {

Result<Json> parse_termux_object(std::string_view text) {
  constexpr std::size_t kMaxBytes = std::size_t{64} << 10U;
  auto object = parse_json(text, kMaxBytes);
  if (!object) return object.error();
  if (!object->is_object()) return Error{Code::invalid, "it does not print a JSON object", ""};
  const std::string problem = text_in(*object, "API_ERROR");
  if (!problem.empty()) return Error{Code::unavailable, printable(problem), ""};
  return object;
}

std::optional<double> number_in(const Json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end()) return std::nullopt;
  if (found->is_string()) return parse_decimal(found->get_ref<const std::string&>());
  if (!found->is_number()) return std::nullopt;
  const auto number = found->get<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::string text_in(const Json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

HiddenFact hidden_behind_termux(std::string fact, const Error& error, bool termux) {
  if (!termux) {
    return {std::move(fact), "Android tells this to apps only through Termux:API",
            "run Caravan in Termux, and install Termux:API: pkg install termux-api"};
  }
  if (error.code == Code::not_found) {
    return {std::move(fact), "Termux:API is not installed",
            "install Termux:API: pkg install termux-api, and the app Termux:API from where Termux came from"};
  }
  if (error.code == Code::unavailable) {
    return {std::move(fact), "Termux:API does not answer: " + error.message,
            "install the app Termux:API from where Termux came from, and open it once"};
  }
  return {std::move(fact), "Termux:API cannot be understood: " + error.message, "pkg upgrade termux-api"};
}

}  // namespace caravan::device
