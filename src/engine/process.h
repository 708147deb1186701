// A child process in a group of its own: started from an argument vector, read line by line, ended without
// leftovers.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "base/spawn.h"

namespace caravan::engine {

namespace asio = boost::asio;

/// Output lines are cut after this many bytes.
inline constexpr std::size_t kMaxLineBytes = 8192;

struct ExitStatus {
  int code = 0;
  int signal = 0;  ///< 0: it exited by itself, with `code`

  bool operator==(const ExitStatus&) const = default;
};

/// "exit code 1" or "signal 9 (SIGKILL)".
std::string describe(const ExitStatus& status);

/// Belongs to one event loop, and to the thread that runs it: when that thread ends, the kernel kills the
/// child. The child also dies with us, however we die, unless it has a lifeline: then it ends by itself.
/// stdout and stderr come as one stream of lines. When it ends, whatever is left of its process group is
/// killed.
class Process {
 public:
  /// Lines come without their end, at most kMaxLineBytes long, on the event loop. Must not throw.
  using OnLine = std::function<void(std::string_view line)>;

  /// Blocks for the few milliseconds until the program is loaded. A program that is missing or cannot be run
  /// is an error here: not_found, invalid (not executable) or incompatible (not for this machine).
  static Result<std::unique_ptr<Process>> start(asio::any_io_executor executor, const SpawnSpec& spec,
                                                OnLine on_line);
  /// Kills the group and waits for the kernel to have done it. No line comes after that.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const;
  bool running() const;

  /// Completes when it has ended and its last line has been handed out. For any number of coroutines, at any
  /// time; it stays valid when this is destroyed meanwhile. Cancelled (asio's `a || b`) it unwinds.
  asio::awaitable<ExitStatus> wait();

  void signal_group(int signal);

  /// SIGTERM to the group, SIGKILL once `grace` has passed, then wait().
  asio::awaitable<ExitStatus> stop(std::chrono::milliseconds grace);

 private:
  struct State;
  explicit Process(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace caravan::engine
