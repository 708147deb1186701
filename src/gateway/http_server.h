// HTTP/1.1 server for TCP and Unix sockets: the OpenAI API and the node's control API stand on it.
//
// Everything runs on one executor whose handlers never run at the same time (one io_context, one thread);
// nothing blocks. A connection is one coroutine. What clients send is limited in size and in time before it
// reaches a handler; replies to requests that never reach one (400, 408, 413, 431, 501, 503) carry an error
// in OpenAI's form.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "engine/http_address.h"
#include "engine/http_client.h"
#include "gateway/http_request.h"

namespace caravan::gateway {

namespace asio = boost::asio;

class Connection;

/// The way back to the client of one request. Borrowed by the handler until it returns. Either send(), or
/// start(), any number of write() and finish(); false means that the client is gone and that there is nothing
/// left to do. A handler that returns without a reply gets a 500 sent for it; one that returns without
/// finish() gets its connection cut, which a client sees as an error and not as the end.
class Responder {
 public:
  explicit Responder(Connection& connection) : connection_(connection) {}
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  /// A whole reply. Content-Length, Content-Type and Connection are added; a HEAD request gets no body.
  asio::awaitable<bool> send(unsigned status, std::string content_type, std::string body,
                             engine::HttpHeaders extra = {});

  /// A reply of unknown length. Each write waits until the socket has taken the chunk: back-pressure.
  asio::awaitable<bool> start(unsigned status, std::string content_type, engine::HttpHeaders extra = {});
  asio::awaitable<bool> write(std::string chunk);
  asio::awaitable<bool> finish();

  bool started() const;

  /// Completes when the client has closed its side (all that a server can see of an aborted request). Has no
  /// limit of its own: meant for `work() || responder.client_gone()`. Requests that the client sends ahead
  /// are kept.
  asio::awaitable<void> client_gone();

 private:
  Connection& connection_;
};

/// Runs as a coroutine of the connection. Must hold on a cancellable wait whenever it waits: stop() cancels
/// it. An exception is logged and answered with 500.
using Handler = std::function<asio::awaitable<void>(Request, Responder&)>;

class HttpServer {
 public:
  /// Listens at once. A port of 0 is chosen by the system. A Unix socket is made with mode 0600; a socket
  /// file that nobody answers on is replaced (two nodes that start in the same moment need a lock of their
  /// own). Code::unavailable when the port is taken or another node answers on the socket.
  static Result<std::unique_ptr<HttpServer>> listen(asio::any_io_executor executor,
                                                    const engine::HttpAddress& address, Limits limits,
                                                    Handler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  /// As stop(), but without waiting: handlers end in the executor's next turns.
  ~HttpServer();

  /// With the port that is really in use.
  const engine::HttpAddress& address() const;
  std::size_t connections() const;

  /// Closes the acceptor and all connections, cancels all handlers and waits for them, at most five seconds.
  /// Not from a handler, which would wait for itself.
  asio::awaitable<void> stop();

 private:
  struct Core;
  explicit HttpServer(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace caravan::gateway
