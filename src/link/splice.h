// Moves bytes both ways between the two ends of a tunnel connection until one of them ends.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/units.h"

namespace caravan::link {

namespace asio = boost::asio;

/// Bytes since a tunnel was opened, payload only.
struct TunnelCounters {
  Bytes sent;      ///< towards the worker
  Bytes received;  ///< from the worker
};

/// One end. Held by shared_ptr while it is spliced; close() from anywhere ends the splice.
class TunnelEnd {
 public:
  TunnelEnd() = default;
  virtual ~TunnelEnd() = default;
  TunnelEnd(const TunnelEnd&) = delete;
  TunnelEnd& operator=(const TunnelEnd&) = delete;

  /// Waits for bytes and takes all that are there, as far as they fit; 0 at the end.
  virtual asio::awaitable<std::size_t> read(std::span<char> into) = 0;
  /// All of them, in one write if the end can; false at the end.
  virtual asio::awaitable<bool> write(std::span<const char> bytes) = 0;
  virtual void close() = 0;
};

/// On a socket that does not block; false at its end.
asio::awaitable<bool> send_all(asio::ip::tcp::socket& socket, std::span<const char> bytes);

/// A socket on this device, or to a plain worker.
class PlainEnd final : public TunnelEnd {
 public:
  /// Sets TCP_NODELAY: the engine writes small messages and waits for each answer.
  explicit PlainEnd(asio::ip::tcp::socket socket);
  asio::awaitable<std::size_t> read(std::span<char> into) override;
  asio::awaitable<bool> write(std::span<const char> bytes) override;
  void close() override;

 private:
  asio::ip::tcp::socket socket_;
};

/// Returns when both ends are closed. Each way reads no further before what was read is written:
/// back-pressure. When one way ends, both ends close at once: the engine's protocol knows no half-closed
/// connection.
asio::awaitable<void> splice(std::shared_ptr<TunnelEnd> near, std::shared_ptr<TunnelEnd> far,
                             std::shared_ptr<TunnelCounters> counters);

}  // namespace caravan::link
