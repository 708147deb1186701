// A port on 127.0.0.1 for the engine on this device: each connection to it is handed on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"

namespace caravan::link {

namespace asio = boost::asio;

/// Destroying it closes the port, not the connections that came through it. One loop of one thread.
class LoopbackPort {
 public:
  /// A coroutine of its own for each connection.
  using Handler = std::function<asio::awaitable<void>(asio::ip::tcp::socket)>;

  /// The system chooses the port. Code::exhausted when there is none.
  static Result<std::unique_ptr<LoopbackPort>> open(asio::any_io_executor executor, Handler handler);
  ~LoopbackPort();
  LoopbackPort(const LoopbackPort&) = delete;
  LoopbackPort& operator=(const LoopbackPort&) = delete;

  std::uint16_t number() const;

 private:
  struct Inner;
  explicit LoopbackPort(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::link
