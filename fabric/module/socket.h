// A TCP connection with time-outs, made by plain POSIX calls. Not thread-safe but for shut_down(), and for
// one thread that reads while another one writes.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"
#include "fabric/module/plan.h"

namespace caravan::fabric {

using Clock = std::chrono::steady_clock;

class Socket {
 public:
  /// Blocks until `deadline` at most. Nagle's algorithm is off.
  static Result<Socket> connect(const Address& address, Clock::time_point deadline);
  /// A connected one that does not block.
  static Socket adopt(int fd) { return Socket(fd); }
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&&) = delete;
  ~Socket();

  /// Some bytes, at least one. Blocks until `deadline`, or for ever without one.
  Result<std::size_t> read_some(std::span<char> into, const Clock::time_point* deadline);
  /// Exactly so many bytes.
  Result<void> read_all(std::span<char> into, const Clock::time_point* deadline);
  /// Writes what the system takes at once: 0 when it takes nothing now.
  Result<std::size_t> write_some(std::string_view bytes);
  /// All of it; blocks until `deadline`.
  Result<void> write_all(std::string_view bytes, Clock::time_point deadline);
  /// Ends both directions: whoever waits in a call above gets an error. From any thread.
  void shut_down();
  int fd() const { return fd_; }

 private:
  explicit Socket(int fd) : fd_(fd) {}
  int fd_;
};

/// Milliseconds for poll() until `deadline`, not less than 0; rounded up.
int poll_time(Clock::time_point deadline);

}  // namespace caravan::fabric
