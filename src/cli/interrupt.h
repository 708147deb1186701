// Ctrl-C for commands that block: a flag to look at, instead of the end of the process.
#pragma once

#include <array>
#include <csignal>

namespace caravan::cli {

/// While one exists, the first SIGINT, SIGTERM or SIGHUP only sets a flag; the second ends the process as
/// usual. One at a time, on the main thread.
class InterruptFlag {
 public:
  InterruptFlag();
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;
  ~InterruptFlag();

  static bool is_set();

 private:
  std::array<struct sigaction, 3> before_{};
};

}  // namespace caravan::cli
