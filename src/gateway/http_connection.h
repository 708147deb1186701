// One connection of an HttpServer: reads requests, calls the handler, writes replies. Internal to the server.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "engine/timed_stream.h"
#include "gateway/http_request.h"
#include "gateway/http_server.h"

namespace caravan::gateway {

/// What the connections of one server have in common.
struct ServerShared {
  Limits limits;
  Handler handler;
  std::size_t bodies_bytes = 0;  ///< taken by all requests now
};

class Connection {
 public:
  Connection(engine::TimedStream::Socket socket, std::shared_ptr<ServerShared> shared);

  /// Serves requests until one side has had enough.
  asio::awaitable<void> run();
  /// Says that there are too many connections.
  asio::awaitable<void> turn_away();
  /// Ends run() at its present wait, the handler's included.
  void cancel();
  asio::cancellation_slot slot() { return cancellation_.slot(); }

  // What Responder offers.
  asio::awaitable<bool> send(unsigned status, std::string content_type, std::string body,
                             engine::HttpHeaders extra);
  asio::awaitable<bool> start(unsigned status, std::string content_type, engine::HttpHeaders extra);
  asio::awaitable<bool> write(std::string chunk);
  asio::awaitable<bool> finish();
  asio::awaitable<void> client_gone();
  bool started() const { return phase_ != Phase::waiting; }

 private:
  enum class Phase { waiting, streaming, finished };
  enum class Arrival { bytes, end, late };
  class BodyShare;

  asio::awaitable<bool> serve_one();
  asio::awaitable<bool> read_request(RequestParser& parser, BodyShare& share);
  asio::awaitable<bool> read_rest(RequestParser& parser, BodyShare& share);
  asio::awaitable<void> call_handler(Request request);
  asio::awaitable<void> refuse(ApiError error);
  asio::awaitable<Arrival> receive(TimePoint deadline);
  asio::awaitable<bool> put(std::string_view bytes);
  asio::awaitable<void> linger();
  std::string head_text(unsigned status, std::string_view content_type, const engine::HttpHeaders& extra,
                        std::string_view framing) const;

  engine::TimedStream stream_;
  std::shared_ptr<ServerShared> shared_;
  asio::cancellation_signal cancellation_;
  asio::steady_timer never_;
  std::string input_;      ///< received and not parsed yet
  bool gone_ = false;      ///< the client cannot be talked to any more
  bool stopping_ = false;  ///< cancel() was called
  // Of the request at hand:
  Phase phase_ = Phase::finished;
  bool head_only_ = false;
  bool chunked_ = true;
  bool keep_alive_ = false;
};

}  // namespace caravan::gateway
