#include "link/upgrade.h"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include "base/json.h"

namespace caravan::link {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kAnswerHeaderBytes = 4096;
constexpr std::size_t kAnswerBodyBytes = 4096;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

bool is_upgrade(const HttpRequest& request) {
  return request.method() == http::verb::get && request.version() == 11 &&
         http::token_list(request[http::field::connection]).exists("upgrade");
}

bool plain_name(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

Error no_upgrade() { return Error{Code::invalid, "that is no request for an upgrade of the connection", ""}; }

/// What the other side wrote in its refusal.
Error refusal(const http::response<http::string_body>& answer) {
  const auto body = parse_json(answer.body(), kAnswerBodyBytes);
  if (body && body->is_object()) return error_from_json(*body);
  return Error{Code::unavailable, fmt::format("the other device answered {}", answer.result_int()), ""};
}

}  // namespace

bool UpgradeRequest::tunnel() const {
  return http::token_list(http[http::field::upgrade])
      .exists(beast::string_view(kTunnelProtocol.data(), kTunnelProtocol.size()));
}

std::string UpgradeRequest::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const bool found =
        pair.size() > name.size() && pair.substr(0, name.size()) == name && pair[name.size()] == '=';
    if (!found) continue;
    const std::string_view value = pair.substr(name.size() + 1);
    return plain_name(value) ? std::string(value) : std::string();
  }
  return {};
}

asio::awaitable<Result<UpgradeRequest>> read_upgrade(TlsConnection& connection, std::size_t header_bytes) {
  beast::flat_buffer buffer(header_bytes + 1);
  http::request_parser<http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(header_bytes));
  auto [failure, got] = co_await http::async_read_header(connection.stream(), buffer, parser, kUseResult);
  if (failure == http::error::header_limit || failure == http::error::buffer_overflow) {
    co_return Error{Code::exhausted, fmt::format("the request's head is over {} bytes", header_bytes), ""};
  }
  if (failure && failure.category() == http::make_error_code(http::error::bad_method).category()) {
    co_return no_upgrade();
  }
  if (failure) co_return connection.explain(failure, "waiting for a request");
  const bool has_body = parser.chunked() || parser.content_length().value_or(0) != 0;
  if (buffer.size() != 0 || has_body || !is_upgrade(parser.get())) co_return no_upgrade();
  UpgradeRequest request{parser.release(), "", ""};
  const std::string_view target = view(request.http.target());
  const std::size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
  co_return request;
}

asio::awaitable<void> refuse_upgrade(TlsConnection& connection, unsigned status, Error error) {
  const std::string body = dump_json(to_json(error));
  const auto reason = http::obsolete_reason(http::int_to_status(status));
  const std::string answer = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      status, view(reason), body.size(), body);
  (void)co_await asio::async_write(connection.stream(), asio::buffer(answer), kUseResult);
}

asio::awaitable<Result<void>> accept_tunnel(TlsConnection& connection) {
  const std::string answer = fmt::format(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: {}\r\nConnection: Upgrade\r\n\r\n", kTunnelProtocol);
  auto [failure, sent] = co_await asio::async_write(connection.stream(), asio::buffer(answer), kUseResult);
  if (failure) co_return connection.explain(failure, "opening a tunnel");
  co_return Result<void>();
}

asio::awaitable<Result<std::string>> ask_for_tunnel(TlsConnection& connection, std::string query) {
  const std::size_t sign = query.find('=');
  if (sign == std::string::npos || !plain_name(query.substr(0, sign)) ||
      !plain_name(query.substr(sign + 1))) {
    co_return Error{Code::invalid, "names of tunnels are made of a-z, 0-9, '-' and '_'", ""};
  }
  const std::string request =
      fmt::format("GET {}?{} HTTP/1.1\r\nHost: caravan\r\nUpgrade: {}\r\nConnection: Upgrade\r\n\r\n",
                  kTunnelPath, query, kTunnelProtocol);
  auto [unsent, sent] = co_await asio::async_write(connection.stream(), asio::buffer(request), kUseResult);
  if (unsent) co_return connection.explain(unsent, "asking for a tunnel");
  // What comes after the head of a 101 is the tunnel's: it stays in the buffer.
  beast::flat_buffer buffer(std::size_t{64} << 10U);
  http::response_parser<http::string_body> parser;
  parser.header_limit(kAnswerHeaderBytes);
  parser.body_limit(kAnswerBodyBytes);
  auto [failure, got] = co_await http::async_read_header(connection.stream(), buffer, parser, kUseResult);
  if (failure) co_return connection.explain(failure, "asking for a tunnel");
  if (parser.get().result() == http::status::switching_protocols) {
    co_return beast::buffers_to_string(buffer.data());
  }
  auto [cut, rest] = co_await http::async_read(connection.stream(), buffer, parser, kUseResult);
  if (cut) co_return connection.explain(cut, "asking for a tunnel");
  co_return refusal(parser.get());
}

}  // namespace caravan::link
