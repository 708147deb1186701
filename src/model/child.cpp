#include "model/child.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <fmt/format.h>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/spawn.h"
#include "base/units.h"

namespace caravan::model {
namespace {

using namespace std::chrono_literals;

constexpr int kTickMilliseconds = 200;
constexpr std::size_t kKeptErrors = 8192;
constexpr auto kGrace = 500ms;

/// A child that runs; killed and reaped on destruction unless it has ended.
class Running {
 public:
  Running(pid_t pid, Descriptor output, Descriptor errors)
      : pid_(pid), output_(std::move(output)), errors_(std::move(errors)) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGTERM);
    const TimePoint deadline = Clock::now() + kGrace;
    while (Clock::now() < deadline && !reaped()) ::poll(nullptr, 0, 10);
    ::kill(-group_, SIGKILL);  // also what it has left behind
    if (pid_ > 0) (void)wait_for_end();
  }

  /// Until both pipes are closed, then until it has ended.
  Result<ChildEnd> watch(const ChildHooks& hooks);

 private:
  bool reaped() {
    int status = 0;
    const bool ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
    if (ended) pid_ = -1;
    return ended;
  }
  int wait_for_end() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  /// Takes what is there from `from`; closes it at its end.
  static std::string drain(Descriptor& from) {
    std::string bytes(1U << 18U, '\0');
    const ssize_t got = ::read(from.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) return "";
    if (got <= 0) (void)from.close_now();
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return bytes;
  }

  pid_t pid_;
  pid_t group_ = pid_;
  Descriptor output_;
  Descriptor errors_;
};

Result<ChildEnd> Running::watch(const ChildHooks& hooks) {
  ChildEnd end;
  TimePoint next_tick = Clock::now();
  while (output_.get() >= 0 || errors_.get() >= 0) {
    if (Clock::now() >= next_tick) {
      if (hooks.tick && hooks.tick()) return Error{Code::interrupted, "stopped", ""};
      next_tick = Clock::now() + std::chrono::milliseconds(kTickMilliseconds);
    }
    std::array<pollfd, 2> waits{{{output_.get(), POLLIN, 0}, {errors_.get(), POLLIN, 0}}};
    if (::poll(waits.data(), waits.size(), kTickMilliseconds) < 0 && errno != EINTR) {
      return errno_error("cannot watch a child process", errno);
    }
    if (waits[0].revents != 0) {
      const std::string bytes = drain(output_);
      if (!bytes.empty() && hooks.on_output) {
        if (auto taken = hooks.on_output(bytes); !taken) return taken.error();
      }
    }
    if (waits[1].revents != 0) end.errors += drain(errors_);
    if (end.errors.size() > 2 * kKeptErrors) end.errors.erase(0, end.errors.size() - kKeptErrors);
  }
  end.exit_code = wait_for_end();
  return end;
}

}  // namespace

Result<ChildEnd> run_child(const ChildSpec& spec, const ChildHooks& hooks) {
  const std::vector<fs::path> candidates = find_in_path(spec.arguments.front());
  if (candidates.empty())
    return Error{Code::not_found, fmt::format("there is no {}", spec.arguments.front()), ""};
  SpawnSpec launch;
  launch.program = candidates.front();
  launch.arguments.assign(spec.arguments.begin() + 1, spec.arguments.end());
  launch.environment = spec.environment;
  launch.working_folder = spec.working_folder;
  launch.separate_errors = true;
  auto spawned = spawn(launch);
  if (!spawned) return spawned.error();
  Running child(spawned->pid, std::move(spawned->output), std::move(spawned->errors));
  return child.watch(hooks);
}

}  // namespace caravan::model
