#include "cli/background.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "base/files.h"
#include "base/spawn.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/interrupt.h"

namespace caravan::cli {
namespace {

constexpr std::chrono::seconds kStartTime{30};
constexpr std::chrono::seconds kEndTime{12};  // longer than a node takes to end its engine
constexpr std::chrono::milliseconds kLook{100};
constexpr std::size_t kMaxOutput = std::size_t{64} << 10U;

/// What the child says about itself, if that line is an announcement.
std::optional<Result<Json>> announcement_in(std::string_view line) {
  auto json = parse_json(line, kMaxOutput);
  if (!json || !json->is_object()) return std::nullopt;
  const Json& event = *json;
  Fields fields(event, "announcement");
  const std::string name = fields.text_or("event", "");
  if (name == "ready") return json;
  if (name != "failed") return std::nullopt;
  const Json* error = fields.object_or_none("error");
  return error != nullptr ? error_from_json(*error) : Error{Code::bug, "it failed without a reason", ""};
}

/// Waits for its exit, with force in the end. It is our child: its id is not given to another one meanwhile.
void await_end(pid_t pid) {
  const TimePoint deadline = Clock::now() + kEndTime;
  while (::waitpid(pid, nullptr, WNOHANG) == 0) {
    if (Clock::now() >= deadline) (void)::kill(pid, SIGKILL);
    std::this_thread::sleep_for(kLook);
  }
}

class Start {
 public:
  explicit Start(Spawned child) : child_(std::move(child)) {}

  Result<Json> await_announcement() {
    const TimePoint deadline = Clock::now() + kStartTime;
    for (;;) {
      if (auto said = next_announcement()) return std::move(*said);
      if (ended_) return ended_silently();
      if (InterruptFlag::is_set()) return Error{Code::interrupted, "interrupted", ""};
      if (Clock::now() >= deadline) {
        return Error{Code::unavailable, fmt::format("the node is not up within {} s", kStartTime.count()),
                     "`caravan logs` shows how far it came; `caravan doctor` looks for the cause"};
      }
      read_more();
    }
  }

  void end() const {
    (void)::kill(child_.pid, SIGTERM);
    await_end(child_.pid);
  }

 private:
  std::optional<Result<Json>> next_announcement() {
    for (std::size_t end = output_.find('\n', parsed_); end != std::string::npos;
         end = output_.find('\n', parsed_)) {
      auto said = announcement_in(std::string_view(output_).substr(parsed_, end - parsed_));
      parsed_ = end + 1;
      if (said) return said;
    }
    return std::nullopt;
  }

  void read_more() {
    pollfd waiting{child_.output.get(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(kLook.count())) <= 0) return;
    std::array<char, 4096> piece{};
    const ssize_t got = ::read(child_.output.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) return;
    ended_ = got <= 0;
    if (got > 0 && output_.size() < kMaxOutput) output_.append(piece.data(), static_cast<std::size_t>(got));
  }

  Error ended_silently() const {
    const std::string said(trim(output_));
    return Error{Code::unavailable,
                 said.empty() ? "the node ended before it was up"
                              : fmt::format("the node ended before it was up; it said: {}", printable(said)),
                 "`caravan up` in the foreground shows more; `caravan doctor` looks for the cause"};
  }

  Spawned child_;
  std::string output_;
  std::size_t parsed_ = 0;
  bool ended_ = false;
};

constexpr Bytes kMaxCommandLine{std::uint64_t{64} << 10U};

}  // namespace

std::vector<std::string> words_to_start_again(std::string_view command_line) {
  std::vector<std::string> given = split(command_line, '\0');
  if (!given.empty() && given.back().empty()) given.pop_back();  // what follows the last one's end
  // Behind the program, which may have been started through a loader.
  const auto command = std::find(given.begin(), given.end(), "up");
  std::vector<std::string> words{"up", "--started-by-up"};
  if (command == given.end()) return words;
  words.reserve(given.size() + 1);
  for (auto word = command + 1; word != given.end(); ++word) {
    const bool is_of_its_start =
        *word == "--started-by-up" || *word == "-d" || *word == "--detach" || *word == "--json";
    if (!is_of_its_start) words.push_back(std::move(*word));
  }
  return words;
}

std::vector<std::string> words_of_node(int pid) {
  const auto line = read_file(fmt::format("/proc/{}/cmdline", pid), kMaxCommandLine);
  return words_to_start_again(line ? *line : "");
}

std::optional<std::string> take_option(std::vector<std::string>& words, std::string_view option) {
  for (auto word = words.begin(); word != words.end(); ++word) {
    const bool is_whole = *word == option && word + 1 != words.end();
    const bool has_value = word->starts_with(option) && word->substr(option.size()).starts_with('=');
    if (!is_whole && !has_value) continue;
    std::string value = is_whole ? *(word + 1) : word->substr(option.size() + 1);
    words.erase(word, word + (is_whole ? 2 : 1));
    return value;
  }
  return std::nullopt;
}

Result<Json> start_in_background(const std::vector<std::string>& words) {
  SpawnSpec spec;
  spec.program = fs::read_symlink("/proc/self/exe");
  spec.arguments = words;
  spec.detached = true;
  spec.ignores_broken_pipes = true;
  const InterruptFlag interrupt;
  auto child = spawn(spec);
  if (!child) return child.error();
  Start start(std::move(*child));
  auto said = start.await_announcement();
  if (!said) start.end();
  return said;
}

}  // namespace caravan::cli
