#include "cli/status.h"

#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "cli/cluster_command.h"
#include "cli/print.h"
#include "cli/status_table.h"

namespace caravan::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  caravan status            the devices, what each does, and what is served
  caravan status --watch    the same, redrawn when anything changes, until Ctrl-C
  caravan status --json     all that the node knows, for a program)";

struct Arguments {
  bool watch = false;
  bool json = false;
};

constexpr std::size_t kUsualColumns = 80;

/// As wide as the terminal, if it is one.
std::vector<std::string> lines_of(const Json& view) {
  const std::size_t columns = columns_of(stdout);
  return status_lines(view, columns > 0 ? columns - 1 : kUsualColumns);
}

void print_view(const Json& view, bool json) {
  if (json) fmt::print("{}\n", dump_json(view));
  if (!json) {
    for (const std::string& line : lines_of(view)) fmt::print("{}\n", line);
  }
  std::fflush(stdout);
}

int watch(const Arguments& arguments) {
  LiveBlock block(stdout);
  const bool redraw = !arguments.json && is_terminal(stdout);
  std::vector<std::string> last;
  const auto show = [&](const Json& view) {
    auto lines = lines_of(view);
    if (redraw) block.update(lines);
    if (!redraw && (arguments.json || lines != last)) print_view(view, arguments.json);
    last = std::move(lines);
    return true;
  };
  const auto ended = run_interruptible(this_cluster().watch(show));
  return !ended && ended.error().code == Code::interrupted ? 0 : print_error(ended.error(), arguments.json);
}

int status(const Arguments& arguments) {
  if (arguments.watch) return watch(arguments);
  const auto view = run_interruptible(this_cluster().view());
  if (!view) return print_error(view.error(), arguments.json);
  print_view(*view, arguments.json);
  return 0;
}

}  // namespace

void add_status(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      root.add_subcommand("status", "The cluster's devices, what each does, and what is served");
  command->footer(kExamples);
  command->add_flag("-w,--watch", arguments->watch, "Until Ctrl-C");
  command->add_flag("--json", arguments->json, "All of it as JSON");
  command->callback([arguments, run]() { run([arguments]() { return status(*arguments); }); });
}

}  // namespace caravan::cli
