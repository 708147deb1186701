#include "base/spawn.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan {
namespace {

constexpr int kLifelineDescriptor = 3;
/// Descriptors that the child will move to 0..3 must not stand there already.
constexpr int kFirstFreeDescriptor = 10;
constexpr int kLastClosedDescriptor = 1023;

enum class Stage : int { setup, folder, program };

/// How the child says that it could not become the program.
struct Failure {
  Stage stage;
  int error_number;
};

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Descriptor moved_up(int fd) {
  const Descriptor low(fd);
  return Descriptor(::fcntl(fd, F_DUPFD_CLOEXEC, kFirstFreeDescriptor));
}

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("cannot make a pipe", errno);
  Pipe pipe{moved_up(ends[0]), moved_up(ends[1])};
  if (pipe.read.get() < 0 || pipe.write.get() < 0) return errno_error("cannot make a pipe", errno);
  return pipe;
}

/// All that the child needs, made before fork: after it only async-signal-safe functions may be called.
struct ChildPlan {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* folder;  ///< nullptr: ours
  int input;           ///< -1: it keeps our stdin, stdout and stderr
  int output;
  int errors;
  int lifeline;  ///< -1: none
  int report;
  bool ignores_broken_pipes;
  bool detached;
  pid_t parent;
};

[[noreturn]] void give_up(const ChildPlan& plan, Stage stage) {
  const Failure failure{stage, errno};
  // Should the parent be gone there is nobody left to tell.
  (void)!::write(plan.report, &failure, sizeof(failure));
  ::_exit(127);
}

void reset_signals() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) (void)::sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void arrange_descriptors(const ChildPlan& plan) {
  if (plan.input >= 0) {
    const bool arranged =
        ::dup2(plan.input, 0) == 0 && ::dup2(plan.output, 1) == 1 && ::dup2(plan.errors, 2) == 2;
    if (!arranged) give_up(plan, Stage::setup);
  }
  int first_closed = kLifelineDescriptor;
  if (plan.lifeline >= 0) {
    if (::dup2(plan.lifeline, kLifelineDescriptor) < 0) give_up(plan, Stage::setup);
    ++first_closed;
  }
  // Ours are all close-on-exec; this is for those that a library opened without.
  for (int fd = first_closed; fd <= kLastClosedDescriptor; ++fd) {
    if (fd != plan.report) ::close(fd);
  }
}

[[noreturn]] void become_program(const ChildPlan& plan) {
  (void)(plan.detached ? ::setsid() : ::setpgid(0, 0));
  // Who has a lifeline learns of our death from it as soon as it can clean up behind itself, which no signal
  // waits for.
  if (plan.lifeline < 0 && !plan.detached) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan, Stage::setup);
    if (::getppid() != plan.parent) ::_exit(127);  // it died before the line above
  }
  reset_signals();
  if (plan.ignores_broken_pipes) (void)::signal(SIGPIPE, SIG_IGN);
  const rlimit no_core{0, 0};  // engines abort as a matter of course, and their memory is gigabytes
  (void)::setrlimit(RLIMIT_CORE, &no_core);
  arrange_descriptors(plan);
  if (plan.folder != nullptr && ::chdir(plan.folder) != 0) give_up(plan, Stage::folder);
  ::execve(plan.program, plan.arguments, plan.environment);
  give_up(plan, Stage::program);
}

/// Pointers into `texts`, ended by nullptr, as exec wants them.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!added.contains(std::string(text.substr(0, text.find('='))))) all.emplace_back(text);
  }
  for (const auto& [name, value] : added) all.push_back(fmt::format("{}={}", name, value));
  return all;
}

Error explain(const Failure& failure, const SpawnSpec& spec) {
  if (failure.stage == Stage::folder) {
    return errno_error(
        fmt::format("cannot start {} in {}", spec.program.string(), spec.working_folder.string()),
        failure.error_number);
  }
  Error error = errno_error(fmt::format("cannot start {}", spec.program.string()), failure.error_number);
  if (failure.stage == Stage::setup) return error;
  std::error_code ignored;
  switch (failure.error_number) {
    case ENOENT:
      if (fs::exists(spec.program, ignored)) {  // then it is its loader that is missing
        return Error{Code::incompatible,
                     fmt::format("{} was built for another system", spec.program.string()),
                     "build it on this device"};
      }
      error.hint = "check that the file is there";
      return error;
    case EACCES:
      error.hint =
          fmt::format("check that it is a program that you may run: chmod +x {}", spec.program.string());
      return error;
    case ENOEXEC:
      return Error{Code::incompatible,
                   fmt::format("{} is not a program for this machine", spec.program.string()),
                   "build it on this device"};
    default:
      return error;
  }
}

/// Blocks all signals while it lives, so that a handler of ours cannot run in the child.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

pid_t fork_into(const ChildPlan& plan) {
  const SignalsBlocked blocked;
  const pid_t pid = ::fork();
  if (pid == 0) become_program(plan);
  return pid;
}

/// What the child reported before its end of the pipe closed: nothing when it became the program.
std::optional<Failure> read_report(int fd) {
  Failure failure{};
  ssize_t got = 0;
  do {
    got = ::read(fd, &failure, sizeof(failure));
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof(failure))) return failure;
  return std::nullopt;
}

}  // namespace

Result<Spawned> spawn(const SpawnSpec& spec) {
  Result<Pipe> output = make_pipe();
  Result<Pipe> errors = make_pipe();
  Result<Pipe> lifeline = make_pipe();
  Result<Pipe> report = make_pipe();
  for (const auto* pipe : {&output, &errors, &lifeline, &report}) {
    if (!pipe->ok())
      return with_context(pipe->error(), fmt::format("cannot start {}", spec.program.string()));
  }
  const Descriptor nothing = moved_up(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (nothing.get() < 0) return errno_error("cannot open /dev/null", errno);

  std::error_code no_folder;  // ours is gone: then the path stays as it is
  const fs::path absolute = fs::absolute(spec.program, no_folder);
  const std::string program = no_folder ? spec.program.string() : absolute.string();
  const std::string folder = spec.working_folder.string();
  std::vector<std::string> arguments{program};
  arguments.insert(arguments.end(), spec.arguments.begin(), spec.arguments.end());
  std::vector<std::string> environment = environment_with(spec.environment);
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> environment_pointers = pointers_to(environment);
  const ChildPlan plan{.program = program.c_str(),
                       .arguments = argument_pointers.data(),
                       .environment = environment_pointers.data(),
                       .folder = folder.empty() ? nullptr : folder.c_str(),
                       .input = spec.inherit_terminal ? -1 : nothing.get(),
                       .output = output->write.get(),
                       .errors = (spec.separate_errors ? errors : output)->write.get(),
                       .lifeline = spec.lifeline ? lifeline->read.get() : -1,
                       .report = report->write.get(),
                       .ignores_broken_pipes = spec.ignores_broken_pipes,
                       .detached = spec.detached,
                       .parent = ::getpid()};
  const pid_t pid = fork_into(plan);
  if (pid < 0) return errno_error(fmt::format("cannot start {}", spec.program.string()), errno);

  (void)report->write.close_now();
  if (const auto failure = read_report(report->read.get())) {
    (void)::waitpid(pid, nullptr, 0);
    return explain(*failure, spec);
  }
  Spawned spawned;
  spawned.pid = pid;
  if (!spec.inherit_terminal) spawned.output = std::move(output->read);
  if (spec.separate_errors) spawned.errors = std::move(errors->read);
  if (spec.lifeline) spawned.lifeline = std::move(lifeline->write);
  return spawned;
}

std::vector<fs::path> find_in_path(const std::string& program) {
  if (program.find('/') != std::string::npos) return {program};
  std::vector<fs::path> found;
  for (const std::string& folder : split(environment("PATH").value_or("/usr/bin:/bin"), ':')) {
    const fs::path candidate = fs::path(folder) / program;
    if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) found.push_back(candidate);
  }
  return found;
}

}  // namespace caravan
