// A tunnel: a loopback port on the master's node whose connections end at one worker's RPC server, either
// through the link's TLS, or directly for a worker on this machine and for a plain worker. It counts what
// crosses.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "base/result.h"
#include "link/splice.h"

namespace caravan::link {

/// One event loop owns a tunnel; nothing blocks. Destroying it closes the port and every connection at both
/// ends at once, which the engine sees as a lost worker instead of waiting without end.
class Tunnel {
 public:
  /// Makes the far end of one connection: whoever uses a tunnel need not know who dials.
  using Opener = std::function<asio::awaitable<Result<std::shared_ptr<TunnelEnd>>>()>;

  /// Listens on 127.0.0.1, port chosen by the system; calls `opener` for each connection it accepts.
  static Result<std::unique_ptr<Tunnel>> open(asio::any_io_executor executor, Opener opener);
  /// Connects to host:port, without encryption. A host that is silent for ten seconds counts as gone.
  static Result<std::unique_ptr<Tunnel>> open(asio::any_io_executor executor, const std::string& host,
                                              int port);
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  /// From now on, calls `lost` when the worker ends a connection, or cannot be reached through one any more.
  void watch(std::function<void()> lost);

  std::uint16_t local_port() const;
  TunnelCounters counters() const;

 private:
  struct Inner;
  explicit Tunnel(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::link
