// A worker's RPC server as a child process.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "base/result.h"
#include "engine/exit.h"
#include "engine/flags.h"
#include "engine/http_address.h"
#include "engine/locate.h"
#include "engine/rpc_probe.h"

namespace caravan::engine {

namespace asio = boost::asio;

struct RpcServerSpec {
  EngineFiles files;
  EngineFlags flags;  ///< of the RPC server
  int rank = 1;
  int threads = 1;
  fs::path log;  ///< for its output, at most kMaxLogBytes; empty: none
};

/// Listens on 127.0.0.1 only. Belongs to one event loop; see Process for what a child is.
class RpcServer {
 public:
  /// Completes when it answers, on assign_rpc_port(rank) or, when that is taken, another port. An error once
  /// it has ended or `timeout` has passed.
  static asio::awaitable<Result<std::unique_ptr<RpcServer>>> start(asio::any_io_executor executor,
                                                                   RpcServerSpec spec,
                                                                   std::chrono::milliseconds timeout);
  /// Kills it.
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  TcpAddress address() const;
  RpcVersion version() const;
  pid_t pid() const;

  /// Completes when it has ended, with the cause. For any number of coroutines. Cancelled (asio's `a || b`)
  /// it unwinds.
  asio::awaitable<ExitReport> exited();
  /// Asks it to end, kills it after `grace`; exited() then reports ExitCause::asked.
  asio::awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  struct State;
  explicit RpcServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace caravan::engine
