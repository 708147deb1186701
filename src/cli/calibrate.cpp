#include "cli/calibrate.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>

#include "app/device_system.h"
#include "base/text.h"
#include "cli/calibrate_link.h"
#include "cli/calibrate_table.h"
#include "cli/print.h"
#include "device/android.h"
#include "device/cache.h"
#include "device/cores.h"
#include "device/memory.h"
#include "device/power.h"
#include "device/speed.h"
#include "engine/ggml_files.h"
#include "engine/kernel_child.h"
#include "engine/probe.h"

namespace caravan::cli {

namespace asio = boost::asio;

namespace {

constexpr const char* kExamples = R"(Examples:
  caravan calibrate                    how fast this device is, in at most 15 seconds
  caravan calibrate --if-needed        only if the engine or what may be used of the processor has changed since
  caravan calibrate --quick            in a few seconds, less exact
  caravan calibrate --threads 1,4      with these thread counts only
  caravan calibrate --json             the same for a program
  caravan calibrate --link-listen 192.168.1.20:7440      on one device: wait there, for at most a minute
  caravan calibrate --link 192.168.1.20:7440             on the other: round trip and bandwidth between both

The engine's own kernels are run, on made-up matrices. What is measured is kept in ~/.caravan/speed.json (CARAVAN_HOME)
and used to decide which device carries what. Close other programs first.)";

constexpr std::chrono::duration<double> kBudget{14};  // what is left of 15 s is for finding the engine
constexpr std::chrono::duration<double> kQuickBudget{4};

struct Arguments {
  std::string engine;
  std::vector<int> threads;
  bool json = false;
  bool quick = false;
  bool if_needed = false;
  bool departed = false;
  std::string link;
  std::string link_listen;
};

device::WallTime now() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

/// The battery's, else the warmest place's: what tells a hot run from a cool one.
std::optional<double> temperature_now() {
  device::HiddenFacts hidden;
  const auto view = app::this_system(caravan_home());
  const auto battery = device::read_battery(view, device::is_termux(view.root), hidden);
  if (battery && battery->temperature) return battery->temperature;
  std::optional<double> warmest;
  for (const device::ThermalZone& zone : device::read_thermal_zones(view.root, hidden)) {
    warmest = std::max(warmest.value_or(zone.temperature), zone.temperature);
  }
  return warmest;
}

/// One run of the command.
class Calibration {
 public:
  explicit Calibration(const Arguments& arguments) : arguments_(arguments), path_(device::speed_path()) {}

  asio::awaitable<Result<void>> run(asio::any_io_executor executor, asio::any_io_executor background);
  int report(const Result<void>& done);

 private:
  /// Whether what is kept will do. Says on stderr what is wrong with it otherwise.
  bool kept_is_good(const engine::EngineFacts& facts);
  Result<engine::KernelTask> task_for(const engine::EngineFiles& files) const;
  void show(const engine::KernelLine& line);

  const Arguments& arguments_;
  fs::path path_;
  device::CoreFacts cores_ = device::read_cores();
  device::ProcessorLimits limits_ = device::limits_of(cores_);
  device::Speed speed_;
  std::vector<engine::KernelSkipped> skipped_;
  bool measured_ = false;
  ProgressLine progress_{stderr};
};

asio::awaitable<Result<void>> Calibration::run(asio::any_io_executor executor,
                                               asio::any_io_executor background) {
  progress_.update("calibrate  looking at the engine");
  const auto files = engine::locate_engine(engine::engine_places(arguments_.engine));
  if (!files) co_return files.error();
  const auto task = task_for(*files);
  if (!task) co_return task.error();
  const auto facts = co_await engine::probe_engine(executor, background, *files);
  if (!facts) co_return facts.error();
  if (kept_is_good(*facts)) co_return Result<void>();

  const auto program = fs::read_symlink("/proc/self/exe");
  const auto on_line = [this](const engine::KernelLine& line) { show(line); };
  auto report = co_await engine::run_kernel_child(executor, program, *files, *task, on_line);
  if (!report) co_return report.error();
  speed_ = device::Speed{.engine_build = facts->build_id,
                         .ggml = report->loaded.ggml,
                         .measured_at = now(),
                         .temperature = temperature_now(),
                         .cpu_quota = limits_.cpu_quota,
                         .usable_cpus = limits_.usable_cpus,
                         .usual_threads = limits_.usual_threads,
                         .departed = arguments_.departed,
                         .quick = arguments_.quick,
                         .threads = task->threads,
                         .measurements = std::move(report->measurements)};
  skipped_ = std::move(report->skipped);
  measured_ = true;
  co_return device::save_speed(path_, speed_);
}

bool Calibration::kept_is_good(const engine::EngineFacts& facts) {
  auto kept = device::load_speed(path_);
  std::string reason;
  if (!kept) {
    reason = kept.error().code == Code::not_found ? "" : kept.error().message;
  } else if (auto refresh = device::needs_refresh(*kept, facts.build_id, limits_, now())) {
    reason = std::move(*refresh);
  } else if (arguments_.if_needed) {
    speed_ = std::move(*kept);
    return true;
  }
  progress_.clear();
  if (!reason.empty()) fmt::print(stderr, "measuring again: {}\n", printable(reason));
  return false;
}

Result<engine::KernelTask> Calibration::task_for(const engine::EngineFiles& files) const {
  std::error_code unresolved;
  const fs::path program = fs::canonical(files.llama_server, unresolved);
  engine::KernelTask task;
  task.programs = unresolved ? files.folder() : program.parent_path();
  // Before anything is started: an engine without libraries cannot be measured at all.
  if (const auto ggml = engine::find_ggml(task.programs); !ggml) return ggml.error();
  task.threads = arguments_.threads.empty() ? usual_thread_counts(cores_) : arguments_.threads;
  std::sort(task.threads.begin(), task.threads.end());
  task.threads.erase(std::unique(task.threads.begin(), task.threads.end()), task.threads.end());
  const auto available = device::usable_memory_now();
  task.pool = device::measuring_pool(device::largest_cache(), available ? *available : mebibytes(512));
  if (task.pool < mebibytes(16)) {
    return Error{
        Code::exhausted,
        fmt::format("only {} of memory are available, too little to measure with", format_bytes(*available)),
        "close other programs"};
  }
  task.budget = arguments_.quick ? kQuickBudget : kBudget;
  task.quick = arguments_.quick;
  return task;
}

void Calibration::show(const engine::KernelLine& line) {
  const auto* measurement = std::get_if<Measurement>(&line);
  if (measurement != nullptr) progress_.update("calibrate  " + describe(*measurement));
}

int Calibration::report(const Result<void>& done) {
  progress_.clear();
  if (!done) return print_error(done.error(), arguments_.json);
  if (arguments_.json) {
    Json value = json_of(speed_, skipped_);
    value["path"] = path_.string();
    value["measured_now"] = measured_;
    fmt::print("{}\n", dump_json(value));
    return 0;
  }
  fmt::print("{}", table_of(speed_, skipped_));
  fmt::print("{}    {}\n", measured_ ? "kept in" : "as kept", printable(for_people(path_)));
  return 0;
}

int calibrate(const Arguments& arguments) {
  if (!arguments.link.empty()) return measure_link_to(arguments.link, arguments.json);
  if (!arguments.link_listen.empty()) return listen_for_link(arguments.link_listen);
  asio::thread_pool pool(1);
  asio::io_context loop(1);
  Calibration calibration(arguments);
  std::optional<Result<void>> done;
  asio::co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        done = co_await calibration.run(loop.get_executor(), pool.get_executor());
      },
      [](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
      });
  loop.run();
  return calibration.report(*done);
}

}  // namespace

void add_calibrate(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      root.add_subcommand("calibrate", "Measure how fast this device, or the network to another, is");
  command->footer(kExamples);
  command->add_option("--engine", arguments->engine, "Folder of the engine's programs");
  command->add_option("--threads", arguments->threads, "Thread counts to try, like 1,4,8")
      ->delimiter(',')
      ->check(CLI::Range(1, 512))
      ->expected(1, 8);
  command->add_flag("--quick", arguments->quick, "A few seconds, less exact");
  command->add_flag("--if-needed", arguments->if_needed, "Only if what is kept does not fit any more");
  command->add_flag("--departed", arguments->departed, "")->group("");  // for the node: see device::Speed
  auto* listens =
      command->add_option("--link-listen", arguments->link_listen,
                          "Wait at HOST:PORT for one device that measures the network to this one");
  command->add_option("--link", arguments->link, "Measure the network to the device that waits at HOST:PORT")
      ->excludes(listens);
  command->add_flag("--json", arguments->json, "Print one line of JSON");
  command->callback([arguments, run]() { run([arguments]() { return calibrate(*arguments); }); });
}

}  // namespace caravan::cli
