// A tunnel: a loopback port on the master's node whose connections end at one worker's RPC server. It counts
// what crosses. For now both ends are on this machine; on a network the bytes will travel inside the link's
// TLS.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "base/result.h"
#include "base/units.h"

namespace caravan::link {

/// Bytes since the tunnel was opened, payload only.
struct TunnelCounters {
  Bytes sent;      ///< towards the worker
  Bytes received;  ///< from the worker
};

/// One event loop owns a tunnel; nothing blocks. Destroying it closes the port and every connection at both
/// ends at once, which the engine sees as a lost worker instead of waiting without end.
class Tunnel {
 public:
  /// Listens on 127.0.0.1, port chosen by the system; connects to host:port for each connection it accepts.
  /// TCP_NODELAY on both sides: the engine writes small messages and waits for each answer.
  static Result<std::unique_ptr<Tunnel>> open(boost::asio::any_io_executor executor, const std::string& host,
                                              int port);
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  std::uint16_t local_port() const;
  TunnelCounters counters() const;

 private:
  struct Inner;
  explicit Tunnel(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::link
