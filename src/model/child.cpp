#include "model/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/units.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): not declared by every libc

namespace caravan::model {
namespace {

using namespace std::chrono_literals;

constexpr int kTickMilliseconds = 200;
constexpr std::size_t kKeptErrors = 8192;
constexpr auto kGrace = 500ms;

struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("cannot make a pipe", errno);
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

/// argv or envp: pointers into `texts`, which must outlive it.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& added) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (added.count(std::string(text.substr(0, text.find('=')))) == 0) result.emplace_back(text);
  }
  for (const auto& [name, value] : added) result.push_back(fmt::format("{}={}", name, value));
  return result;
}

/// The candidates for `program` in $PATH: execve itself does not search, and execvpe is not everywhere.
std::vector<std::string> find_in_path(const std::string& program) {
  if (program.find('/') != std::string::npos) return {program};
  std::vector<std::string> candidates;
  std::string_view path = std::getenv("PATH") != nullptr ? std::getenv("PATH") : "/usr/bin:/bin";
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    const fs::path candidate = fs::path(path.substr(0, end)) / program;
    if (end > 0 && ::access(candidate.c_str(), X_OK) == 0) candidates.push_back(candidate.string());
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return candidates;
}

/// Everything the child needs between fork and exec, made before: there, only async-signal-safe calls are
/// allowed.
struct Launch {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* working_folder;  ///< or null
  int null_input;
  int output;
  int errors;
  int report;  ///< errno goes here when exec fails
  pid_t parent;
};

[[noreturn]] void become(const Launch& launch) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launch.parent) ::_exit(127);  // it died before the kernel knew that we depend on it
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) ::signal(signal, SIG_DFL);
  const bool wired = ::dup2(launch.null_input, STDIN_FILENO) >= 0 &&
                     ::dup2(launch.output, STDOUT_FILENO) >= 0 && ::dup2(launch.errors, STDERR_FILENO) >= 0;
  constexpr int kHighestLikely = 1024;  // of what a library opened without close-on-exec
  for (int fd = STDERR_FILENO + 1; fd < kHighestLikely; ++fd) {
    if (fd != launch.report) ::close(fd);
  }
  const bool placed = launch.working_folder == nullptr || ::chdir(launch.working_folder) == 0;
  if (wired && placed) ::execve(launch.program, launch.arguments, launch.environment);
  const int why = errno;
  (void)!::write(launch.report, &why, sizeof why);
  ::_exit(127);
}

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
  const std::vector<std::string> candidates = find_in_path(spec.arguments.front());
  if (candidates.empty())
    return Error{Code::not_found, fmt::format("there is no {}", spec.arguments.front()), ""};
  auto output = make_pipe();
  auto errors = make_pipe();
  auto report = make_pipe();
  for (const auto* pipe : {&output, &errors, &report}) {
    if (!*pipe) return pipe->error();
  }
  const Descriptor null_input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::vector<std::string> arguments = spec.arguments;
  std::vector<std::string> environment = environment_with(spec.environment);
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> envp = pointers_to(environment);
  Launch launch{};
  launch.program = candidates.front().c_str();
  launch.arguments = argv.data();
  launch.environment = envp.data();
  launch.working_folder = spec.working_folder.empty() ? nullptr : spec.working_folder.c_str();
  launch.null_input = null_input.get();
  launch.output = output->write_end.get();
  launch.errors = errors->write_end.get();
  launch.report = report->write_end.get();
  launch.parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error(fmt::format("cannot start {}", spec.arguments.front()), errno);
  if (pid == 0) become(launch);
  ::setpgid(pid, pid);  // also here: whoever is first
  Running child(pid, std::move(output->read_end), std::move(errors->read_end));
  (void)output->write_end.close_now();
  (void)errors->write_end.close_now();
  (void)report->write_end.close_now();
  int why = 0;
  ssize_t got = 0;
  while ((got = ::read(report->read_end.get(), &why, sizeof why)) < 0 && errno == EINTR) {
  }
  if (got > 0) return errno_error(fmt::format("cannot start {}", candidates.front()), why);
  return child.watch(hooks);
}

}  // namespace caravan::model
