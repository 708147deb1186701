#include "engine/timed_stream.h"

#include <sys/un.h>

#include <tuple>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

namespace caravan::engine {
namespace {

using ErrorCode = boost::system::error_code;

/// `operation` (which yields an error code and perhaps a count) or the deadline, whichever comes first; the
/// other is cancelled. The first element of the result is the operation's error, or asio's timed_out.
template <typename Operation>
auto before(asio::steady_timer& timer, TimePoint deadline, Operation operation) {
  timer.expires_at(deadline);
  return asio::experimental::make_parallel_group(std::move(operation), timer.async_wait(asio::deferred))
      .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
}

/// Judges what before() yielded. When both were ready in the same turn the operation counts: its bytes must
/// not be lost.
template <typename Outcome>
ErrorCode error_of(const Outcome& outcome) {
  const auto& [order, error, timer_error] =
      std::tie(std::get<0>(outcome), std::get<1>(outcome), std::get<std::tuple_size_v<Outcome> - 1>(outcome));
  const bool timed_out = error == asio::error::operation_aborted && order[0] == 1 && !timer_error;
  return timed_out ? ErrorCode(asio::error::timed_out) : error;
}

Error explain(const ErrorCode& error) {
  if (error == asio::error::timed_out) {
    return Error{Code::unavailable, "the other side did not answer in time", ""};
  }
  return Error{Code::disconnected, "the connection was cut: " + error.message(), ""};
}

}  // namespace

std::string to_string(const HttpAddress& address) {
  if (const auto* unix_address = std::get_if<UnixAddress>(&address)) return unix_address->path.string();
  const auto& tcp = std::get<TcpAddress>(address);
  const bool v6 = tcp.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", tcp.host, tcp.port) : fmt::format("{}:{}", tcp.host, tcp.port);
}

Result<asio::generic::stream_protocol::endpoint> endpoint_of(const HttpAddress& address) {
  if (const auto* unix_address = std::get_if<UnixAddress>(&address)) {
    const std::string path = unix_address->path.string();
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
      return Error{Code::invalid,
                   fmt::format("the path of a socket may have {} bytes, not {}: {}",
                               sizeof(sockaddr_un::sun_path) - 1, path.size(), path),
                   "choose a shorter folder"};
    }
    return asio::generic::stream_protocol::endpoint(asio::local::stream_protocol::endpoint(path));
  }
  const auto& tcp = std::get<TcpAddress>(address);
  ErrorCode error;
  const auto host = asio::ip::make_address(tcp.host == "localhost" ? "127.0.0.1" : tcp.host, error);
  if (error) {
    return Error{Code::invalid, fmt::format("'{}' is no IP address", tcp.host), "write it like 127.0.0.1"};
  }
  return asio::generic::stream_protocol::endpoint(asio::ip::tcp::endpoint(host, tcp.port));
}

TimedStream::TimedStream(Socket socket)
    : socket_(std::move(socket)), read_timer_(socket_.get_executor()), write_timer_(socket_.get_executor()) {
  ErrorCode unsupported_by_unix_sockets;
  (void)socket_.set_option(asio::ip::tcp::no_delay(true), unsupported_by_unix_sockets);
}

asio::awaitable<Result<TimedStream>> TimedStream::connect(asio::any_io_executor executor, HttpAddress address,
                                                          TimePoint deadline) {
  const auto endpoint = endpoint_of(address);
  if (!endpoint.ok()) co_return endpoint.error();
  Socket socket(executor);
  asio::steady_timer timer(executor);
  const auto outcome = co_await before(timer, deadline, socket.async_connect(*endpoint, asio::deferred));
  if (const ErrorCode error = error_of(outcome)) {
    co_return with_context(explain(error), fmt::format("cannot connect to {}", to_string(address)));
  }
  co_return TimedStream(std::move(socket));
}

asio::awaitable<Result<std::size_t>> TimedStream::read_some(std::span<char> into, TimePoint deadline) {
  const auto buffer = asio::buffer(into.data(), into.size());
  const auto outcome =
      co_await before(read_timer_, deadline, socket_.async_read_some(buffer, asio::deferred));
  const ErrorCode error = error_of(outcome);
  if (error == asio::error::eof) co_return std::size_t{0};
  if (error) co_return explain(error);
  co_return std::get<2>(outcome);
}

asio::awaitable<Result<void>> TimedStream::write(std::string_view bytes, std::chrono::milliseconds patience) {
  while (!bytes.empty()) {
    const auto buffer = asio::buffer(bytes.data(), bytes.size());
    const auto outcome = co_await before(write_timer_, Clock::now() + patience,
                                         socket_.async_write_some(buffer, asio::deferred));
    if (const ErrorCode error = error_of(outcome)) co_return explain(error);
    bytes.remove_prefix(std::get<2>(outcome));
  }
  co_return Result<void>();
}

void TimedStream::shutdown_send() {
  ErrorCode ignored;
  (void)socket_.shutdown(Socket::shutdown_send, ignored);
}

void TimedStream::close() {
  ErrorCode ignored;
  (void)socket_.close(ignored);
}

void TimedStream::reset() {
  ErrorCode ignored;
  (void)socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  close();
}

}  // namespace caravan::engine
