// A connected socket, TCP or Unix, on which every wait has a deadline: what HTTP's two sides have in common.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "base/units.h"
#include "engine/http_address.h"

namespace caravan::engine {

namespace asio = boost::asio;

/// Code::invalid for a host that is no IP address and for a path that is too long for a socket.
Result<asio::generic::stream_protocol::endpoint> endpoint_of(const HttpAddress& address);

/// One coroutine may read while another writes. Errors: Code::unavailable when the deadline passed,
/// Code::disconnected when the other side is gone or the socket is closed. Borrowed memory (`into`, `bytes`)
/// must stay until the call returns. A cancelled wait leaves the stream usable and loses no byte.
class TimedStream {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  explicit TimedStream(Socket socket);

  static asio::awaitable<Result<TimedStream>> connect(asio::any_io_executor executor, HttpAddress address,
                                                      TimePoint deadline);

  /// 0 bytes: the other side has closed its direction.
  asio::awaitable<Result<std::size_t>> read_some(std::span<char> into, TimePoint deadline);
  /// All of `bytes`; `patience` is for the other side to take anything at all.
  asio::awaitable<Result<void>> write(std::string_view bytes, std::chrono::milliseconds patience);

  /// Tells the other side that nothing more comes.
  void shutdown_send();
  void close();
  /// Closes so that the other side sees an error and not an end.
  void reset();
  asio::any_io_executor executor() { return socket_.get_executor(); }

 private:
  Socket socket_;
  asio::steady_timer read_timer_;
  asio::steady_timer write_timer_;
};

}  // namespace caravan::engine
