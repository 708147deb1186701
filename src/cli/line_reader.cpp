#include "cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "base/files.h"
#include "cli/interrupt.h"

namespace caravan::cli {
namespace {

constexpr std::size_t kMaxLine = std::size_t{1} << 20U;

/// While it lives, signals that ask to end come only inside of wait_for_input(): none is missed between a
/// look at the flag and the wait.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&held, signal);
    ::pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  /// False: a signal came.
  bool wait_for_input(int descriptor) const {
    pollfd waiting{descriptor, POLLIN, 0};
    for (;;) {
      const int ready = ::ppoll(&waiting, 1, nullptr, &before_);
      if (InterruptFlag::is_set()) return false;
      if (ready >= 0 || errno != EINTR) return true;  // what is wrong, read() will say
    }
  }

 private:
  sigset_t before_{};
};

}  // namespace

std::optional<std::string> LineReader::take_line() {
  const std::size_t end = pending_.find('\n');
  if (end == std::string::npos && !(ended_ && !pending_.empty())) return std::nullopt;
  std::string line = pending_.substr(0, end);
  pending_.erase(0, end == std::string::npos ? end : end + 1);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

Result<std::optional<std::string>> LineReader::next(std::string_view prompt) {
  const SignalsHeld held;
  const InterruptFlag interrupt;
  if (!prompt.empty()) {
    fmt::print("{}", prompt);
    std::fflush(stdout);
  }
  std::array<char, 4096> piece{};
  for (;;) {
    if (auto line = take_line()) return line;
    if (ended_) return std::optional<std::string>();
    if (pending_.size() > kMaxLine)
      return Error{Code::exhausted, "a line of more than 1 MiB", "break it into several lines"};
    if (!held.wait_for_input(descriptor_)) return Error{Code::interrupted, "interrupted", ""};
    const ssize_t got = ::read(descriptor_, piece.data(), piece.size());
    if (got < 0 && errno != EINTR) return errno_error("cannot read the input", errno);
    if (got == 0) ended_ = true;
    if (got > 0) pending_.append(piece.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace caravan::cli
