// What an assignment makes run on this device: an RPC server, or llama-server behind tunnels to its workers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "cluster/messages.h"
#include "engine/http_client.h"
#include "engine/probe.h"
#include "link/tunnel.h"

namespace caravan::app {

/// One assignment's engine program. run() once, then stop(); one event loop.
class EngineRole {
 public:
  /// Makes the tunnel to a worker's RPC server.
  using OpenTunnel = std::function<Result<std::unique_ptr<link::Tunnel>>(const cluster::WorkerEndpoint&)>;

  /// `changed` is called whenever what describe() says has changed.
  EngineRole(boost::asio::any_io_executor executor, engine::EngineFacts engine, fs::path log,
             cluster::Assignment assignment, OpenTunnel open_tunnel, std::function<void()> changed);
  ~EngineRole();
  EngineRole(const EngineRole&) = delete;
  EngineRole& operator=(const EngineRole&) = delete;

  /// Starts the program and follows it until it ends, which is always a failure: stop() is how it ends by
  /// request, and cancellation is how run() ends then.
  boost::asio::awaitable<void> run();

  /// Asks the program to end, kills it after a moment, closes the tunnels.
  boost::asio::awaitable<void> stop();

  /// Writes phase, progress, ports, traffic and the like into `state`.
  void describe(cluster::NodeState& state) const;

  /// Where llama-server answers; only for a master that is ready.
  const engine::HttpAddress* backend() const;
  const cluster::Assignment& assignment() const;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace caravan::app
