#include "cli/kernel_bench.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "engine/kernel_child.h"

namespace caravan::cli {
namespace {

struct Arguments {
  std::string programs;
  std::vector<int> threads;
  std::uint64_t pool = 0;
  double seconds = 0;
  bool quick = false;
};

void print_line(const engine::KernelLine& line) {
  fmt::print("{}\n", engine::to_text(line));
  std::fflush(stdout);
}

int kernel_bench(const Arguments& arguments) {
  engine::KernelTask task;
  task.programs = arguments.programs;
  task.threads = arguments.threads;
  std::sort(task.threads.begin(), task.threads.end());
  task.pool = Bytes{arguments.pool};
  task.budget = std::chrono::duration<double>(arguments.seconds);
  task.quick = arguments.quick;
  const auto measured = engine::measure_kernels(task, print_line);
  if (measured) return 0;
  print_line(measured.error());
  return exit_code_of(measured.error().code);
}

}  // namespace

void add_kernel_bench(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      root.add_subcommand(engine::kKernelCommand, "Measure the engine's kernels in this process");
  command->group("");  // for `caravan calibrate` only
  command->add_option("--programs", arguments->programs, "Folder of the engine's programs")->required();
  command->add_option("--threads", arguments->threads, "Thread counts")
      ->required()
      ->delimiter(',')
      ->check(CLI::Range(1, 512));
  command->add_option("--pool", arguments->pool, "Bytes of matrices")
      ->required()
      ->check(CLI::Range(1.0, 1e10));
  command->add_option("--seconds", arguments->seconds, "Budget")->required()->check(CLI::Range(0.1, 600.0));
  command->add_flag("--quick", arguments->quick, "Fewer types");
  command->callback([arguments, run]() { run([arguments]() { return kernel_bench(*arguments); }); });
}

}  // namespace caravan::cli
