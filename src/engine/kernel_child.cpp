#include "engine/kernel_child.h"

#include <csignal>
#include <deque>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "engine/process.h"

namespace caravan::engine {
namespace {

constexpr std::size_t kMaxMeasurements = 1000;
constexpr std::size_t kLastWords = 3;

/// Takes the child's lines in.
struct Listener {
  std::function<void(const KernelLine&)> on_line;
  KernelReport report;
  bool done = false;
  std::optional<Error> error;
  std::deque<std::string> words;  ///< the last lines that were none of ours
  std::string doing = "loading the engine's libraries";

  void take(std::string_view text) {
    const auto line = parse_kernel_line(text);
    if (!line) {
      words.emplace_back(text.substr(0, 200));
      if (words.size() > kLastWords) words.pop_front();
      return;
    }
    if (const auto* loaded = std::get_if<KernelsLoaded>(&*line)) report.loaded = *loaded;
    if (const auto* skipped = std::get_if<KernelSkipped>(&*line)) report.skipped.push_back(*skipped);
    if (const auto* failed = std::get_if<Error>(&*line)) error = *failed;
    if (std::holds_alternative<KernelsDone>(*line)) done = true;
    if (const auto* measurement = std::get_if<Measurement>(&*line)) take(*measurement);
    on_line(*line);
  }

  void take(const Measurement& measurement) {
    doing = fmt::format("after {} {} {}, {} threads", name_of(measurement.quantity), measurement.type,
                        measurement.layout, measurement.threads);
    if (report.measurements.size() < kMaxMeasurements) report.measurements.push_back(measurement);
  }

  Error explain_end(const ExitStatus& status) const {
    std::string said;
    for (const std::string& word : words) said += fmt::format("; it said: {}", printable(word));
    return Error{
        Code::incompatible,
        fmt::format("the process that measures the engine's kernels ended with {} ({}){}", describe(status),
                    printable(doing), said),
        status.signal == SIGILL
            ? "the engine was built for another processor: `./run build` makes one for this device"
            : "try again; if it ends the same way, `./run build` makes an engine that is known to work"};
  }
};

}  // namespace

std::vector<std::string> kernel_arguments(const KernelTask& task) {
  std::vector<std::string> threads;
  for (const int count : task.threads) threads.push_back(std::to_string(count));
  std::vector<std::string> arguments{kKernelCommand,
                                     "--programs",
                                     task.programs.string(),
                                     "--threads",
                                     join(threads, ","),
                                     "--pool",
                                     std::to_string(task.pool.count),
                                     "--seconds",
                                     fmt::format("{:.3f}", task.budget.count())};
  if (task.quick) arguments.emplace_back("--quick");
  return arguments;
}

asio::awaitable<Result<KernelReport>> run_kernel_child(asio::any_io_executor executor, fs::path program,
                                                       EngineFiles files, KernelTask task,
                                                       std::function<void(const KernelLine&)> on_line) {
  using namespace asio::experimental::awaitable_operators;
  SpawnSpec spec;
  spec.program = std::move(program);
  spec.arguments = kernel_arguments(task);
  spec.environment = engine_environment(files);
  Listener listener;
  listener.on_line = std::move(on_line);
  const auto take = [&listener](std::string_view line) { listener.take(line); };
  auto process = Process::start(executor, spec, take);
  if (!process) co_return process.error();
  asio::steady_timer deadline(executor);
  const std::chrono::duration<double> patience = 2 * task.budget + task.patience;
  deadline.expires_after(std::chrono::duration_cast<std::chrono::milliseconds>(patience));
  const auto first =
      co_await ((*process)->wait() || deadline.async_wait(asio::as_tuple(asio::use_awaitable)));
  const auto* status = std::get_if<ExitStatus>(&first);
  if (status == nullptr) {
    co_return Error{Code::unavailable,
                    fmt::format("measuring the engine's kernels has not ended within {} ({})",
                                format_duration(patience), printable(listener.doing)),
                    "try again when the device is idle, or with --quick"};
  }
  if (listener.error) co_return *listener.error;
  if (*status != ExitStatus{} || !listener.done) co_return listener.explain_end(*status);
  co_return std::move(listener.report);
}

}  // namespace caravan::engine
