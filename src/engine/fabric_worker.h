// A stage's worker program as a child process.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "engine/exit.h"
#include "engine/fabric.h"
#include "engine/locate.h"

namespace caravan::engine {

namespace asio = boost::asio;

struct FabricWorkerSpec {
  FabricFiles files;
  EngineFiles engine;  ///< whose libraries it runs on
  int threads = 1;
  FabricWeights weights;
  fs::path log;  ///< for its output, at most kMaxLogBytes; empty: none
};

/// Listens on 127.0.0.1 only, at a port that the system chooses, and takes who shows its key: a new one for
/// each start. Belongs to one event loop; see Process for what a child is.
class FabricWorker {
 public:
  /// Completes when it listens. An error once it has ended or `timeout` has passed.
  static asio::awaitable<Result<std::unique_ptr<FabricWorker>>> start(asio::any_io_executor executor,
                                                                      FabricWorkerSpec spec,
                                                                      std::chrono::milliseconds timeout);
  /// Kills it.
  ~FabricWorker();
  FabricWorker(const FabricWorker&) = delete;
  FabricWorker& operator=(const FabricWorker&) = delete;

  TcpAddress address() const;
  const std::string& key() const;
  pid_t pid() const;

  /// As RpcServer's.
  asio::awaitable<ExitReport> exited();
  asio::awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  struct State;
  explicit FabricWorker(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace caravan::engine
