#include "gateway/http_connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/status.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/text.h"

namespace caravan::gateway {
namespace {

constexpr std::size_t kReceiveBytes = std::size_t{16} << 10U;
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kRetrySeconds = "5";

std::string_view reason_of(unsigned status) {
  const auto reason = boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(status));
  return {reason.data(), reason.size()};
}

/// A header's value must not be able to end its line.
std::string one_line(std::string_view value) {
  std::string line(value);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return line;
}

}  // namespace

/// This request's part of the memory that all bodies together may take.
class Connection::BodyShare {
 public:
  explicit BodyShare(ServerShared& shared) : shared_(shared) {}
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;
  ~BodyShare() { shared_.bodies_bytes -= bytes_; }

  bool grow_to(std::size_t bytes) {
    if (bytes <= bytes_) return true;
    const std::size_t more = bytes - bytes_;
    if (more > shared_.limits.all_bodies_bytes - shared_.bodies_bytes) return false;
    shared_.bodies_bytes += more;
    bytes_ = bytes;
    return true;
  }

 private:
  ServerShared& shared_;
  std::size_t bytes_ = 0;
};

Connection::Connection(engine::TimedStream::Socket socket, std::shared_ptr<ServerShared> shared)
    : stream_(std::move(socket)), shared_(std::move(shared)), never_(stream_.executor()) {}

void Connection::cancel() {
  stopping_ = true;
  gone_ = true;
  cancellation_.emit(asio::cancellation_type::terminal);
  stream_.close();
}

asio::awaitable<void> Connection::run() {
  // gcc 12 miscompiles a loop that awaits in its condition.
  bool again = true;
  while (again) again = co_await serve_one();
  co_await linger();
}

asio::awaitable<void> Connection::turn_away() {
  const ApiError refusal{503, "too many connections at once; try again", "", "too_many_connections"};
  co_await refuse(refusal);
  co_await linger();
}

asio::awaitable<bool> Connection::serve_one() {
  RequestParser parser(shared_->limits.header_bytes, shared_->limits.body_bytes);
  BodyShare share(*shared_);
  if (!co_await read_request(parser, share)) co_return false;
  phase_ = Phase::waiting;
  head_only_ = parser.is_head();
  chunked_ = !parser.http_1_0();
  keep_alive_ = parser.keep_alive();
  co_await call_handler(parser.take());
  co_return phase_ == Phase::finished&& keep_alive_ && !gone_;
}

asio::awaitable<bool> Connection::read_request(RequestParser& parser, BodyShare& share) {
  const TimePoint idle_until = Clock::now() + shared_->limits.idle_time;
  while (true) {
    // Old clients send an empty line after a body.
    input_.erase(0, std::min(input_.find_first_not_of("\r\n"), input_.size()));
    if (!input_.empty()) break;
    if (co_await receive(idle_until) != Arrival::bytes) {
      gone_ = true;
      co_return false;
    }
  }
  co_return co_await read_rest(parser, share);
}

asio::awaitable<bool> Connection::read_rest(RequestParser& parser, BodyShare& share) {
  TimePoint deadline = Clock::now() + shared_->limits.header_time;
  bool in_body = false;
  while (true) {
    input_.erase(0, parser.feed(input_));
    if (parser.failure()) {
      co_await refuse(*parser.failure());
      co_return false;
    }
    if (parser.header_done() && !share.grow_to(parser.body_bytes())) {
      const ApiError refusal{503, "too many long requests at once; try again", "", "busy"};
      co_await refuse(refusal);
      co_return false;
    }
    if (parser.done()) co_return true;
    if (parser.header_done() && !std::exchange(in_body, true)) {
      deadline = Clock::now() + shared_->limits.body_time;
      if (parser.expects_continue() && input_.empty()) co_await put("HTTP/1.1 100 Continue\r\n\r\n");
    }
    const Arrival arrival = co_await receive(deadline);
    if (arrival == Arrival::late) {
      const ApiError refusal{408, "the request did not arrive in time", "", "request_timeout"};
      co_await refuse(refusal);
    }
    if (arrival == Arrival::end) gone_ = true;
    if (arrival != Arrival::bytes) co_return false;
  }
}

asio::awaitable<void> Connection::call_handler(Request request) {
  Responder responder(*this);
  std::string failure;
  try {
    co_await shared_->handler(std::move(request), responder);
    if (phase_ == Phase::waiting) failure = "the handler gave no reply";
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (gone_) co_return;
  if (!failure.empty()) spdlog::error("a request failed: {}", printable(failure));
  if (phase_ == Phase::waiting) {
    const ApiError bug{500, "internal error", "", "bug"};
    std::string type(kJson);
    std::string body = error_body(bug);
    engine::HttpHeaders none;
    co_await send(500, std::move(type), std::move(body), std::move(none));
  }
  if (phase_ == Phase::streaming) {
    // What has no end must not look as if it had one.
    gone_ = true;
    stream_.reset();
  }
}

asio::awaitable<void> Connection::refuse(ApiError error) {
  phase_ = Phase::waiting;
  head_only_ = false;
  keep_alive_ = false;
  engine::HttpHeaders extra;
  if (error.status == 503) extra.emplace_back("Retry-After", kRetrySeconds);
  co_await send(error.status, std::string(kJson), error_body(error), std::move(extra));
}

asio::awaitable<Connection::Arrival> Connection::receive(TimePoint deadline) {
  std::array<char, kReceiveBytes> piece{};
  const auto count = co_await stream_.read_some(piece, deadline);
  if (!count.ok()) co_return count.error().code == Code::unavailable ? Arrival::late : Arrival::end;
  input_.append(piece.data(), *count);
  co_return *count > 0 ? Arrival::bytes : Arrival::end;
}

asio::awaitable<bool> Connection::put(std::string_view bytes) {
  if (gone_) co_return false;
  const auto written = co_await stream_.write(bytes, shared_->limits.write_time);
  if (!written.ok()) gone_ = true;
  co_return written.ok();
}

/// Closing a socket that has unread input discards what the client has not read yet: our last reply.
asio::awaitable<void> Connection::linger() {
  if (gone_) co_return;
  stream_.shutdown_send();
  const TimePoint deadline = Clock::now() + shared_->limits.linger_time;
  Arrival arrival = Arrival::bytes;
  while (arrival == Arrival::bytes) {
    arrival = co_await receive(deadline);
    input_.clear();
  }
}

std::string Connection::head_text(unsigned status, std::string_view content_type,
                                  const engine::HttpHeaders& extra, std::string_view framing) const {
  std::string text =
      fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\n{}Connection: {}\r\n", status, reason_of(status),
                  one_line(content_type), framing, keep_alive_ ? "keep-alive" : "close");
  for (const auto& [name, value] : extra) text += fmt::format("{}: {}\r\n", one_line(name), one_line(value));
  return text + "\r\n";
}

asio::awaitable<bool> Connection::send(unsigned status, std::string content_type, std::string body,
                                       engine::HttpHeaders extra) {
  if (phase_ != Phase::waiting) co_return false;
  phase_ = Phase::finished;
  std::string text =
      head_text(status, content_type, extra, fmt::format("Content-Length: {}\r\n", body.size()));
  if (!head_only_) text += body;
  co_return co_await put(text);
}

asio::awaitable<bool> Connection::start(unsigned status, std::string content_type,
                                        engine::HttpHeaders extra) {
  if (phase_ != Phase::waiting) co_return false;
  phase_ = Phase::streaming;
  if (!chunked_) keep_alive_ = false;  // the end of the connection is the end of the reply
  const std::string text =
      head_text(status, content_type, extra, chunked_ ? "Transfer-Encoding: chunked\r\n" : "");
  co_return co_await put(text);
}

asio::awaitable<bool> Connection::write(std::string chunk) {
  if (phase_ != Phase::streaming) co_return false;
  if (chunk.empty() || head_only_) co_return !gone_;
  if (chunked_) chunk = fmt::format("{:x}\r\n{}\r\n", chunk.size(), chunk);
  co_return co_await put(chunk);
}

asio::awaitable<bool> Connection::finish() {
  if (phase_ != Phase::streaming) co_return false;
  phase_ = Phase::finished;
  if (!chunked_ || head_only_) co_return !gone_;
  co_return co_await put("0\r\n\r\n");
}

asio::awaitable<void> Connection::client_gone() {
  // Only reading tells whether the client is there. What it sends ahead is kept, up to a limit; a client that
  // sends more than that is watched no further, and noticed when it stops taking what is written.
  while (!gone_ && input_.size() < shared_->limits.header_bytes) {
    const Arrival arrival = co_await receive(TimePoint::max());
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none)
      co_return;  // not the client's end, only that of this wait
    if (arrival == Arrival::end) gone_ = true;
  }
  if (gone_) co_return;
  never_.expires_at(TimePoint::max());
  co_await never_.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<bool> Responder::send(unsigned status, std::string content_type, std::string body,
                                      engine::HttpHeaders extra) {
  return connection_.send(status, std::move(content_type), std::move(body), std::move(extra));
}

asio::awaitable<bool> Responder::start(unsigned status, std::string content_type, engine::HttpHeaders extra) {
  return connection_.start(status, std::move(content_type), std::move(extra));
}

asio::awaitable<bool> Responder::write(std::string chunk) { return connection_.write(std::move(chunk)); }
asio::awaitable<bool> Responder::finish() { return connection_.finish(); }
asio::awaitable<void> Responder::client_gone() { return connection_.client_gone(); }
bool Responder::started() const { return connection_.started(); }

}  // namespace caravan::gateway
