#include "cli/node.h"

#include <memory>

#include <fmt/format.h>

#include "app/node_lock.h"
#include "base/json.h"
#include "cli/node_arguments.h"
#include "cli/node_runner.h"
#include "cli/print.h"

namespace caravan::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  caravan node                          this device's node, state in ~/.caravan/node
  caravan node --memory 2G --port 8081  give the engine 2 GiB, serve the API on port 8081

The node waits for a controller; `caravan demo` starts three of them and is their controller.)";

struct Arguments {
  NodeArguments node;
  std::string device = "this-device";
  std::string state;
  bool ephemeral = false;
  bool announce = false;
  bool lifeline = false;
};

/// One line for a program (--announce) or for a person.
void announce(const Arguments& arguments, const Json& event, const std::string& text) {
  fmt::print("{}\n", arguments.announce ? dump_json(event) : text);
  std::fflush(stdout);
}

int refuse(const Arguments& arguments, const Error& error) {
  if (!arguments.announce) return print_error(error);
  announce(arguments, {{"event", "failed"}, {"error", to_json(error)}}, "");
  return exit_code_of(error.code);
}

int node_command(const Arguments& arguments) {
  auto options = node_options(arguments.node);
  if (!options) return print_error(options.error());
  options->device = arguments.device;
  options->state_folder = arguments.state.empty() ? caravan_home() / "node" : fs::path(arguments.state);
  options->ephemeral = arguments.ephemeral;
  const auto lock = app::NodeLock::take(options->state_folder);
  if (!lock) return refuse(arguments, lock.error());
  NodeEvents events;
  events.ready = [&arguments](const app::Node& node) {
    announce(arguments, {{"event", "ready"}, {"device", arguments.device}, {"api", node.api_url()}},
             fmt::format("{} is up: {}  (Ctrl-C ends it)", arguments.device, node.api_url()));
  };
  events.failed = [&arguments](const Error& error) { refuse(arguments, error); };
  return run_node(std::move(*options), arguments.lifeline, events);
}

}  // namespace

void add_node(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("node", "Run this device's node in the foreground");
  command->footer(kExamples);
  command->add_option("--device", arguments->device, "Name of this device")->capture_default_str();
  command->add_option("--state", arguments->state, "Folder for its state (default: ~/.caravan/node)");
  add_node_options(*command, arguments->node);
  command->add_flag("--ephemeral", arguments->ephemeral, "Remove the state folder at the end");
  command->add_flag("--announce", arguments->announce, "Say that it is up, or why not, as a line of JSON");
  command->add_flag("--lifeline", arguments->lifeline, "End when descriptor 3 is closed")->group("");
  command->callback([arguments, run]() { run([arguments]() { return node_command(*arguments); }); });
}

}  // namespace caravan::cli
