#include "cli/logs.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/log_file.h"
#include "cli/node_log.h"
#include "cli/print.h"
#include "cli/this_node.h"

namespace caravan::cli {
namespace {

constexpr std::chrono::milliseconds kLook{100};
constexpr const char* kExamples = R"(Examples:
  caravan logs               the last lines of the log of this device's node
  caravan logs -f            the same, then what comes, until Ctrl-C
  caravan logs --engine      what llama.cpp's programs said
  caravan logs --lines 500   more of it)";

struct Arguments {
  bool follow = false;
  bool engine = false;
  std::size_t lines = 50;
};

std::vector<LogFile> files_for(bool engine) {
  const fs::path folder = this_nodes_folder();
  std::vector<LogFile> files;
  if (!engine) {
    files.emplace_back(node_log_path(folder));
    return files;
  }
  for (const char* program : {"rpc-server", "llama-server"})
    files.emplace_back(folder / (std::string(program) + ".log"));
  return files;
}

/// Says whose lines come when there are several files, as tail does.
class Printer {
 public:
  explicit Printer(bool with_names) : with_names_(with_names) {}

  void print(const LogFile& file, const std::string& text) {
    if (text.empty()) return;
    if (with_names_ && last_ != file.path()) {
      fmt::print("{}==> {} <==\n", last_.empty() ? "" : "\n", file.path().filename().string());
      last_ = file.path();
    }
    fmt::print("{}", printable(text));
    std::fflush(stdout);
  }

 private:
  bool with_names_;
  fs::path last_;
};

Error nothing_yet(bool engine) {
  if (engine) {
    return Error{Code::not_found, "no engine has run on this device's node yet",
                 "it runs once a model is served; `caravan logs` shows the node's own log"};
  }
  return Error{Code::not_found, fmt::format("there is no log in {} yet", for_people(this_nodes_folder())),
               "`caravan up -d` starts the node that writes it"};
}

int logs_command(const Arguments& arguments) {
  std::vector<LogFile> files = files_for(arguments.engine);
  Printer printer(arguments.engine);
  const InterruptFlag interrupt;
  for (LogFile& file : files) {
    const auto text = file.last_lines(arguments.lines);
    if (!text) return print_error(text.error());
    printer.print(file, *text);
  }
  const bool any =
      std::any_of(files.begin(), files.end(), [](const LogFile& file) { return file.is_there(); });
  if (!arguments.follow) return any ? 0 : print_error(nothing_yet(arguments.engine));
  for (;;) {
    const bool last_look = InterruptFlag::is_set();
    for (LogFile& file : files) printer.print(file, file.more());
    if (last_look) return 0;
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace

void add_logs(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  constexpr std::size_t kMaxLines = 1'000'000;
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("logs", "Show what this device's node has done");
  command->footer(kExamples);
  command->add_flag("-f,--follow", arguments->follow, "Go on with what comes, until Ctrl-C");
  command->add_option("--lines", arguments->lines, "How many of the last lines")
      ->check(CLI::Range(std::size_t{0}, kMaxLines))
      ->capture_default_str();
  command->add_flag("--engine", arguments->engine, "The logs of the engine's programs");
  command->callback([arguments, run]() { run([arguments]() { return logs_command(*arguments); }); });
}

}  // namespace caravan::cli
