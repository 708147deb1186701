#include "cli/chat_api.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/http_client.h"

namespace caravan::cli {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kCallTime{10};
constexpr std::chrono::milliseconds kPause{250};
constexpr std::size_t kMaxReply = std::size_t{1} << 20U;
constexpr std::string_view kScheme = "http://";

Error no_url(std::string_view text, std::string_view why) {
  return Error{Code::invalid, fmt::format("'{}' is no address of an API: {}", printable(text), why),
               "it looks like http://127.0.0.1:8080, with an IP address or localhost"};
}

/// Percent-encoded (RFC 3986, section 2.1): a name may have spaces and slashes.
std::string in_a_path(std::string_view name) {
  std::string encoded;
  for (const char c : name) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) encoded += c;
    if (!plain) encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

asio::awaitable<Result<engine::HttpReply>> get(engine::TcpAddress address, std::string target) {
  engine::HttpAddress where = std::move(address);
  engine::HttpRequest request;
  request.target = std::move(target);
  co_return co_await engine::http_call(std::move(where), std::move(request), kCallTime, kMaxReply);
}

Error not_reachable(const engine::TcpAddress& address, const Error& cause) {
  return Error{cause.code,
               fmt::format("no answer from the API at {}: {}", engine::to_string(address), cause.message),
               "check the address, and that what serves it is up"};
}

}  // namespace

Result<engine::TcpAddress> parse_api_url(std::string_view text) {
  std::string_view rest = trim(text);
  if (rest.starts_with("https://")) return no_url(text, "only http:// is spoken");
  if (!rest.starts_with(kScheme)) return no_url(text, "it does not begin with http://");
  rest.remove_prefix(kScheme.size());
  rest = rest.substr(0, rest.find_first_of("/?#"));
  const std::size_t bracket = rest.rfind(']');
  const std::size_t colon = rest.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  std::string_view host = rest.substr(0, has_port ? colon : rest.size());
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host.empty()) return no_url(text, "it names no host");
  std::uint16_t port = 80;
  if (has_port) {
    const std::string_view digits = rest.substr(colon + 1);
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (failure != std::errc{} || end != digits.data() + digits.size() || port == 0)
      return no_url(text, "its port is no number from 1 to 65535");
  }
  return engine::TcpAddress{std::string(host), port};
}

Result<Readiness> readiness_from(unsigned status, std::string_view body) {
  const auto json = parse_json(body, kMaxReply);
  const bool is_object = json && json->is_object();
  Readiness readiness;
  if (status < 300 || status == 404) {
    readiness.ready = true;
    if (is_object) readiness.model = Fields(*json, "health").text_or("model", "");
    return readiness;
  }
  if (!is_object)
    return Error{Code::unavailable, fmt::format("the API answers {}", status), "try again later"};
  Fields fields(*json, "health");
  const std::string phase = fields.text_or("status", "");
  const double progress = fields.number_or("progress", 0);
  const Json* error = fields.object_or_none("error");
  const std::string message = error != nullptr ? Fields(*error, "error").text_or("message", "") : "";
  if (phase == "none") return Error{Code::unavailable, "no model is served", "run `caravan serve MODEL`"};
  if (phase == "failed" || status != 503) {
    return Error{Code::unavailable, message.empty() ? fmt::format("the API answers {}", status) : message,
                 "`caravan logs` and `caravan logs --engine` say more"};
  }
  // Caravan's "loading" and "starting", and llama-server's 503 while it loads.
  readiness.progress = std::isfinite(progress) ? progress : 0;
  return readiness;
}

Result<std::string> first_model_in(std::string_view body) {
  const auto json = parse_json(body, kMaxReply);
  if (!json) return with_context(json.error(), "the API's list of models");
  Fields fields(*json, "models");
  for (const Json& model : fields.list_or_none("data")) {
    const std::string id = Fields(model, "data[]").text_or("id", "");
    if (!id.empty()) return id;
  }
  return Error{Code::unavailable, "no model is served", "run `caravan serve MODEL`"};
}

asio::awaitable<Result<std::string>> served_model(engine::TcpAddress address, std::string wanted,
                                                  std::function<void(const Readiness&)> on_wait) {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  const std::string about = wanted.empty() ? "/health" : "/v1/models/" + in_a_path(wanted);
  for (;;) {
    const auto reply = co_await get(address, about);
    if (!reply) co_return not_reachable(address, reply.error());
    auto readiness = readiness_from(reply->status, reply->body);
    if (!readiness) co_return readiness.error();
    if (readiness->ready && !wanted.empty()) co_return wanted;
    if (readiness->ready && !readiness->model.empty()) co_return std::move(readiness->model);
    if (readiness->ready) break;
    on_wait(*readiness);
    pause.expires_after(kPause);
    co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  const auto models = co_await get(address, "/v1/models");
  if (!models) co_return not_reachable(address, models.error());
  co_return first_model_in(models->body);
}

}  // namespace caravan::cli
