#include "engine/http_client.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <boost/asio/buffer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <fmt/format.h>

#include "base/units.h"
#include "engine/timed_stream.h"

namespace caravan::engine {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;
using std::chrono::milliseconds;

constexpr std::size_t kPieceBytes = std::size_t{16} << 10U;
constexpr std::uint32_t kMaxHeaderBytes = 64U << 10U;

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

/// A request whose parts would change the meaning of each other is not sent.
bool well_formed(const HttpRequest& request) {
  const auto broken = [](const auto& header) {
    return has_control(header.first) || has_control(header.second);
  };
  return !request.method.empty() && request.target.starts_with('/') && !has_control(request.method) &&
         !has_control(request.target) && request.method.find(' ') == std::string::npos &&
         request.target.find(' ') == std::string::npos &&
         std::none_of(request.headers.begin(), request.headers.end(), broken);
}

std::string message_of(const HttpRequest& request, const HttpAddress& address) {
  const bool tcp = std::holds_alternative<TcpAddress>(address);
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", request.method,
                                 request.target, tcp ? to_string(address) : "localhost");
  for (const auto& [name, value] : request.headers) text += fmt::format("{}: {}\r\n", name, value);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    text += fmt::format("Content-Length: {}\r\n", request.body.size());
  }
  return text + "\r\n" + request.body;
}

Error broken_http(const ErrorCode& error) {
  return Error{Code::disconnected, "the server's reply is no valid HTTP: " + error.message(), ""};
}

}  // namespace

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

const std::string* find_header(const HttpHeaders& headers, std::string_view name) {
  const auto found = std::find_if(headers.begin(), headers.end(),
                                  [&](const auto& header) { return same_letters(header.first, name); });
  return found == headers.end() ? nullptr : &found->second;
}

struct HttpExchange::State {
  State(TimedStream connected, bool without_body) : stream(std::move(connected)) {
    parser.header_limit(kMaxHeaderBytes);
    parser.body_limit(boost::none);
    parser.skip(without_body);
  }

  /// Lets the parser take what has been read. False when it wants more bytes or more room for the body.
  Result<void> parse() {
    if (input.empty() || parser.is_done()) return {};
    ErrorCode error;
    const std::size_t used = parser.put(asio::buffer(input), error);
    input.erase(0, used);
    const bool fine = !error || error == http::error::need_more || error == http::error::need_buffer;
    return fine ? Result<void>() : broken_http(error);
  }

  /// Reads what has arrived, or the end of the connection.
  asio::awaitable<Result<void>> fill(TimePoint deadline) {
    const auto count = co_await stream.read_some(piece, deadline);
    if (!count.ok()) co_return count.error();
    if (*count > 0) {
      input.append(piece.data(), *count);
      co_return Result<void>();
    }
    ErrorCode error = http::error::partial_message;
    if (parser.got_some()) parser.put_eof(error);
    if (!error) co_return Result<void>();
    co_return Error{Code::disconnected, "the server closed the connection before the end of its reply", ""};
  }

  TimedStream stream;
  http::response_parser<http::buffer_body> parser;
  std::array<char, kPieceBytes> piece{};
  std::string input;
};

HttpExchange::HttpExchange(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpExchange::HttpExchange(HttpExchange&&) noexcept = default;
HttpExchange& HttpExchange::operator=(HttpExchange&&) noexcept = default;
HttpExchange::~HttpExchange() = default;

void HttpExchange::close() { state_->stream.close(); }

asio::awaitable<Result<HttpExchange>> HttpExchange::open(asio::any_io_executor executor, HttpAddress address,
                                                         HttpRequest request, milliseconds timeout) {
  if (!well_formed(request)) {
    co_return Error{Code::invalid, fmt::format("cannot send a request for '{}'", request.target), ""};
  }
  auto stream = co_await TimedStream::connect(executor, address, Clock::now() + timeout);
  if (!stream.ok()) co_return stream.error();
  const bool without_body = request.method == "HEAD";
  HttpExchange exchange(std::make_unique<State>(*std::move(stream), without_body));
  const std::string message = message_of(request, address);
  const auto sent = co_await exchange.state_->stream.write(message, timeout);
  // A server that refuses a long body may close its side early: its reply says more than our failure to
  // write.
  if (!sent.ok() && sent.error().code != Code::disconnected) co_return sent.error();
  co_return std::move(exchange);
}

asio::awaitable<Result<HttpReplyHead>> HttpExchange::read_head(milliseconds timeout) {
  const TimePoint deadline = Clock::now() + timeout;
  auto& parser = state_->parser;
  parser.eager(false);
  while (!parser.is_header_done()) {
    const auto filled = co_await state_->fill(deadline);
    if (!filled.ok()) co_return filled.error();
    const auto parsed = state_->parse();
    if (!parsed.ok()) co_return parsed.error();
  }
  parser.eager(true);
  HttpReplyHead head;
  head.status = parser.get().result_int();
  for (const auto& field : parser.get()) head.headers.emplace_back(field.name_string(), field.value());
  co_return head;
}

asio::awaitable<Result<std::string>> HttpExchange::read_some(milliseconds timeout) {
  const TimePoint deadline = Clock::now() + timeout;
  auto& parser = state_->parser;
  std::string body(kPieceBytes, '\0');
  parser.get().body().data = body.data();
  parser.get().body().size = body.size();
  while (true) {
    const auto parsed = state_->parse();
    if (!parsed.ok()) co_return parsed.error();
    const std::size_t produced = body.size() - parser.get().body().size;
    if (produced > 0 || parser.is_done()) {
      body.resize(produced);
      co_return body;
    }
    const auto filled = co_await state_->fill(deadline);
    if (!filled.ok()) co_return filled.error();
  }
}

asio::awaitable<Result<HttpReply>> http_call(HttpAddress address, HttpRequest request, milliseconds timeout,
                                             std::size_t max_body_bytes) {
  const TimePoint deadline = Clock::now() + timeout;
  const auto left = [deadline] {
    return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(deadline - Clock::now()));
  };
  const auto executor = co_await asio::this_coro::executor;
  auto exchange = co_await HttpExchange::open(executor, std::move(address), std::move(request), timeout);
  if (!exchange.ok()) co_return exchange.error();
  auto head = co_await exchange->read_head(left());
  if (!head.ok()) co_return head.error();
  HttpReply reply{head->status, std::move(head->headers), {}};
  while (true) {
    const auto piece = co_await exchange->read_some(left());
    if (!piece.ok()) co_return piece.error();
    if (piece->empty()) co_return reply;
    if (reply.body.size() + piece->size() > max_body_bytes) {
      co_return Error{Code::exhausted, fmt::format("the reply is longer than {} bytes", max_body_bytes), ""};
    }
    reply.body += *piece;
  }
}

}  // namespace caravan::engine
