// A replica's llama-server as a child process: how far it is with loading, what it put where, why it ended.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "base/result.h"
#include "engine/arguments.h"
#include "engine/exit.h"
#include "engine/http_address.h"
#include "engine/output.h"
#include "engine/probe.h"

namespace caravan::engine {

namespace asio = boost::asio;

/// What the engine says that it put on one rank.
struct ObservedRank {
  int rank = 0;
  std::vector<int> layers;  ///< repeating layers, ascending
  Bytes weights;
  Bytes kv_cache;
  Bytes compute;  ///< buffers for computing and output
};

/// Belongs to one event loop; see Process for what a child is.
class LlamaServer {
 public:
  using OnProgress = std::function<void(LoadStep)>;

  /// Starts it; it is not ready yet. `log` gets its output, at most kMaxLogBytes, without what people ask and
  /// get; empty: none. `on_progress` must not throw and may be empty.
  static Result<std::unique_ptr<LlamaServer>> start(asio::any_io_executor executor, const EngineFacts& engine,
                                                    const MasterArguments& arguments, const fs::path& log,
                                                    OnProgress on_progress);
  /// Kills it.
  ~LlamaServer();
  LlamaServer(const LlamaServer&) = delete;
  LlamaServer& operator=(const LlamaServer&) = delete;

  /// Completes when it answers requests, with its address, or has ended, with the cause as an error. It never
  /// gives up by itself: a worker that hangs makes it wait without end, so the caller cancels this when it
  /// takes too long.
  asio::awaitable<Result<TcpAddress>> ready();

  pid_t pid() const;

  /// By rank, the master first; complete once it is ready.
  std::vector<ObservedRank> observed() const;

  /// Completes when the fabric has failed, with what its module says; the process goes on. Never, when it
  /// ends before that.
  asio::awaitable<Error> fabric_failed();

  /// Completes when it has ended, with the cause. For any number of coroutines. Cancelled (asio's `a || b`)
  /// it unwinds.
  asio::awaitable<ExitReport> exited();
  /// Asks it to end, kills it after `grace`; exited() then reports ExitCause::asked.
  asio::awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  struct State;
  explicit LlamaServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace caravan::engine
