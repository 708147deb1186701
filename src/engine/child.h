// One run of an engine program: its process, its log, what it has said, and why it ended. Shared by the RPC
// server and llama-server.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "engine/change.h"
#include "engine/engine_log.h"
#include "engine/exit.h"
#include "engine/output_ring.h"
#include "engine/process.h"

namespace caravan::engine {

/// Belongs to one event loop.
class EngineChild : public std::enable_shared_from_this<EngineChild> {
 public:
  using OnEvent = std::function<void(const EngineEvent&)>;

  /// `on_event` gets what the program says until it serves, and then that the fabric has failed. It must not
  /// throw, and is not called after end().
  static Result<std::shared_ptr<EngineChild>> start(asio::any_io_executor executor, Program program,
                                                    const SpawnSpec& spec, const fs::path& log,
                                                    OnEvent on_event);

  /// `serving`: from now on only warnings and errors are kept, and nothing that was said before explains the
  /// end.
  void enter(RunPhase phase);

  pid_t pid() const { return process_->pid(); }
  /// Nothing while it runs.
  const std::optional<ExitReport>& report() const { return report_; }
  /// Notified when it has ended, and by whoever owns this.
  Change& changed() { return changed_; }

  asio::awaitable<ExitReport> exited();
  asio::awaitable<void> stop(std::chrono::milliseconds grace);
  /// Kills it now; whoever waits in exited() is told. Nothing else may be called after that.
  void end();

 private:
  EngineChild(const asio::any_io_executor& executor, Program program, const fs::path& log, OnEvent on_event);
  void take_line(std::string_view line);
  void finish(const ExitStatus& status);
  static asio::awaitable<void> watch(std::shared_ptr<EngineChild> self);

  Program program_;
  EngineLog log_;
  OnEvent on_event_;
  OutputRing output_;
  RunPhase phase_ = RunPhase::starting;
  bool asked_to_stop_ = false;
  std::optional<ExitReport> report_;
  Change changed_;
  std::unique_ptr<Process> process_;  // last: its end comes before that of what its lines go to
};

}  // namespace caravan::engine
