// HTTP/1.1 client over TCP or a Unix socket: one request on a connection of its own, its reply piece by
// piece.
//
// All of it runs on the executor of the calling coroutine and never blocks. Every wait has a time-out, given
// by the caller. Errors: Code::disconnected when the other side refuses, goes away or breaks HTTP,
// Code::unavailable when a time-out passed, Code::exhausted when a reply is longer than allowed,
// Code::invalid when the request cannot be sent as it is. A wait that is cancelled (asio's `a || b`) is
// Code::disconnected, and the coroutine ends at its next wait.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "engine/http_address.h"

namespace caravan::engine {

namespace asio = boost::asio;

/// In the order in which they stand in the message; names in any case.
using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// Equal but for the case of ASCII letters.
bool same_letters(std::string_view a, std::string_view b);

/// The first value under `name`, case ignored, or nullptr. Borrowed from `headers`.
const std::string* find_header(const HttpHeaders& headers, std::string_view name);

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  ///< path and query, already percent-encoded
  HttpHeaders headers;       ///< beside Host, Content-Length and Connection, which are added
  std::string body;
};

struct HttpReply {
  unsigned status = 0;
  HttpHeaders headers;
  std::string body;
};

struct HttpReplyHead {
  unsigned status = 0;
  HttpHeaders headers;
};

/// One request and its reply. Destruction closes the connection, which tells the server to stop working on
/// it. Not for several coroutines at once.
class HttpExchange {
 public:
  /// Connects and sends the request. `timeout` is for the connection, and again for each piece that the
  /// server takes.
  static asio::awaitable<Result<HttpExchange>> open(asio::any_io_executor executor, HttpAddress address,
                                                    HttpRequest request, std::chrono::milliseconds timeout);
  HttpExchange(HttpExchange&&) noexcept;
  HttpExchange& operator=(HttpExchange&&) noexcept;
  ~HttpExchange();

  /// Status and headers of the reply; once, before read_some.
  asio::awaitable<Result<HttpReplyHead>> read_head(std::chrono::milliseconds timeout);

  /// The next piece of the body as it arrives, at most 16 KiB; empty at its end. A connection that is cut
  /// before the end that the reply announced is Code::disconnected.
  asio::awaitable<Result<std::string>> read_some(std::chrono::milliseconds timeout);

  void close();

 private:
  struct State;
  explicit HttpExchange(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A whole call: `timeout` is for all of it, `max_body_bytes` for the body of the reply.
asio::awaitable<Result<HttpReply>> http_call(HttpAddress address, HttpRequest request,
                                             std::chrono::milliseconds timeout, std::size_t max_body_bytes);

}  // namespace caravan::engine
