#include "engine/process.h"

#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "engine/change.h"
#include "engine/lines.h"

namespace caravan::engine {
namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
/// How long output may go on after the process has ended: something that left its group may hold the pipe
/// open.
constexpr std::chrono::milliseconds kDrainPatience{1000};

struct SignalName {
  int number;
  std::string_view name;
};
constexpr std::array<SignalName, 11> kSignalNames{{{SIGHUP, "SIGHUP"},
                                                   {SIGINT, "SIGINT"},
                                                   {SIGQUIT, "SIGQUIT"},
                                                   {SIGILL, "SIGILL"},
                                                   {SIGABRT, "SIGABRT"},
                                                   {SIGBUS, "SIGBUS"},
                                                   {SIGFPE, "SIGFPE"},
                                                   {SIGKILL, "SIGKILL"},
                                                   {SIGSEGV, "SIGSEGV"},
                                                   {SIGPIPE, "SIGPIPE"},
                                                   {SIGTERM, "SIGTERM"}}};

ExitStatus status_from(int raw) {
  if (WIFSIGNALED(raw)) return ExitStatus{0, WTERMSIG(raw)};
  return ExitStatus{WEXITSTATUS(raw), 0};
}

}  // namespace

std::string describe(const ExitStatus& status) {
  if (status.signal == 0) return fmt::format("exit code {}", status.code);
  for (const SignalName& known : kSignalNames) {
    if (known.number == status.signal) return fmt::format("signal {} ({})", status.signal, known.name);
  }
  return fmt::format("signal {}", status.signal);
}

/// Shared by the handle and the coroutines that read and reap.
struct Process::State {
  State(const asio::any_io_executor& executor, OnLine line_handler)
      : output(executor),
        child_signals(executor),
        drain_deadline(executor),
        changed(executor),
        on_line(std::move(line_handler)) {}

  pid_t pid = -1;
  asio::posix::stream_descriptor output;
  asio::signal_set child_signals;
  asio::steady_timer drain_deadline;
  Change changed;
  OnLine on_line;
  LineSplitter lines{kMaxLineBytes};
  Descriptor lifeline;
  std::optional<ExitStatus> status;  ///< set once it has been reaped: from then on the pid may be another's
  bool drained = false;
  bool abandoned = false;  ///< the handle is gone

  bool finished() const { return status.has_value() && (drained || abandoned); }
  void hand_out(std::string_view line) const {
    if (!abandoned) on_line(line);
  }
  bool has_ended();
  void reap();

  static asio::awaitable<void> read_output(std::shared_ptr<State> self);
  static asio::awaitable<void> watch(std::shared_ptr<State> self);
  static asio::awaitable<ExitStatus> wait(std::shared_ptr<State> self);
  static asio::awaitable<ExitStatus> stop(std::shared_ptr<State> self, std::chrono::milliseconds grace);
};

/// Without reaping it.
bool Process::State::has_ended() {
  siginfo_t info{};
  const int result = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT);
  return result != 0 || info.si_pid == pid;
}

/// Blocks until it has ended. While the dead leader is not reaped its group's number cannot be given to
/// another group, so what is left of the group is killed first.
void Process::State::reap() {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  int raw = 0;
  pid_t reaped = -1;
  if (info.si_pid == pid) {
    (void)::kill(-pid, SIGKILL);
    do {
      reaped = ::waitpid(pid, &raw, 0);
    } while (reaped < 0 && errno == EINTR);
  }
  // Whoever reaps children that are not theirs takes the status with them.
  status = reaped == pid ? status_from(raw) : ExitStatus{-1, 0};
  lifeline = Descriptor();
}

asio::awaitable<void> Process::State::read_output(std::shared_ptr<State> self) {
  std::array<char, 16384> buffer{};
  while (self->output.is_open()) {
    const auto [failure, count] = co_await self->output.async_read_some(asio::buffer(buffer), kUseResult);
    if (failure) break;
    self->lines.feed({buffer.data(), count}, [&](std::string_view line) { self->hand_out(line); });
  }
  self->lines.finish([&](std::string_view line) { self->hand_out(line); });
  self->drained = true;
  self->drain_deadline.cancel();
  self->changed.notify();
}

asio::awaitable<void> Process::State::watch(std::shared_ptr<State> self) {
  while (!self->abandoned && !self->has_ended()) co_await self->child_signals.async_wait(kUseResult);
  if (self->abandoned) co_return;
  self->reap();
  self->changed.notify();
  self->drain_deadline.expires_after(kDrainPatience);
  if (!self->drained) co_await self->drain_deadline.async_wait(kUseResult);
  boost::system::error_code ignored;
  self->output.close(ignored);
}

asio::awaitable<ExitStatus> Process::State::wait(std::shared_ptr<State> self) {
  while (!self->finished()) co_await self->changed.past(self->changed.count());
  co_return *self->status;
}

asio::awaitable<ExitStatus> Process::State::stop(std::shared_ptr<State> self,
                                                 std::chrono::milliseconds grace) {
  using namespace asio::experimental::awaitable_operators;
  if (!self->status) (void)::kill(-self->pid, SIGTERM);
  asio::steady_timer deadline(self->changed.executor(), grace);
  co_await (wait(self) || deadline.async_wait(kUseResult));
  if (!self->status) (void)::kill(-self->pid, SIGKILL);
  co_return co_await wait(self);
}

Result<std::unique_ptr<Process>> Process::start(asio::any_io_executor executor, const SpawnSpec& spec,
                                                OnLine on_line) {
  auto state = std::make_shared<State>(executor, std::move(on_line));
  boost::system::error_code failure;
  state->child_signals.add(SIGCHLD, failure);  // before the fork, so that no end goes unnoticed
  if (failure) return errno_error("cannot watch child processes", failure.value());
  Result<Spawned> spawned = spawn(spec);
  if (!spawned) return spawned.error();
  state->pid = spawned->pid;
  state->lifeline = std::move(spawned->lifeline);
  std::unique_ptr<Process> process(new Process(state));
  if (spawned->output.get() >= 0) {
    state->output.assign(spawned->output.get(), failure);
    if (failure) return errno_error("cannot read from a pipe", failure.value());
    (void)spawned->output.release();
  }
  asio::co_spawn(executor, State::read_output(state), asio::detached);
  asio::co_spawn(executor, State::watch(state), asio::detached);
  return process;
}

Process::Process(std::shared_ptr<State> state) : state_(std::move(state)) {}

Process::~Process() {
  state_->abandoned = true;
  if (!state_->status) {
    signal_group(SIGKILL);
    state_->reap();
  }
  boost::system::error_code ignored;
  state_->output.close(ignored);
  state_->child_signals.cancel(ignored);
  state_->drain_deadline.cancel();
  state_->changed.notify();
}

pid_t Process::pid() const { return state_->pid; }
bool Process::running() const { return !state_->status.has_value(); }
asio::awaitable<ExitStatus> Process::wait() { return State::wait(state_); }

void Process::signal_group(int signal) {
  if (running()) (void)::kill(-state_->pid, signal);
}

asio::awaitable<ExitStatus> Process::stop(std::chrono::milliseconds grace) {
  return State::stop(state_, grace);
}

}  // namespace caravan::engine
