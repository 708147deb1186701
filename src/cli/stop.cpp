#include "cli/stop.h"

#include <chrono>
#include <memory>
#include <thread>

#include <fmt/format.h>

#include "app/node.h"
#include "app/node_client.h"
#include "app/node_lock.h"
#include "base/json.h"
#include "cli/print.h"
#include "cli/this_node.h"

namespace caravan::cli {
namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::milliseconds kPause{50};
constexpr const char* kExamples = R"(Examples:
  caravan stop           ends the node of `caravan up`, with its engine
  caravan stop --json    one line of JSON for a program

It asks the node to end, and kills nothing.
Exit codes: 0 it has ended, or was not up; 3 it has not ended within 10 seconds.)";

int stop_command(bool json) {
  const fs::path folder = this_nodes_folder();
  const auto holder = app::lock_holder(folder);
  if (!holder) return print_error(holder.error(), json);
  if (*holder) {
    if (const auto ended = end_node(folder, **holder); !ended) return print_error(ended.error(), json);
  }
  const int pid = *holder ? (**holder).pid : 0;
  if (json) {
    fmt::print("{}\n", dump_json(pid > 0 ? Json{{"stopped", true}, {"pid", pid}} : Json{{"stopped", false}}));
  } else if (*holder) {
    fmt::print("this device's node has ended ({})\n", describe(**holder));
  } else {
    fmt::print("this device's node is not up\n");
  }
  return 0;
}

}  // namespace

Result<void> end_node(const fs::path& folder, const app::LockHolder& holder) {
  const app::NodeClient client(app::control_socket(folder));
  const TimePoint deadline = Clock::now() + kPatience;
  Result<void> asked = Error{Code::bug, "it was not asked", ""};
  do {
    if (!asked) asked = run_to_end(client.stop());
    const auto now = app::lock_holder(folder);
    if (!now) return now.error();
    if (!*now || **now != holder) return {};
    std::this_thread::sleep_for(kPause);
  } while (Clock::now() < deadline);
  const std::string why = asked ? "" : fmt::format(": {}", asked.error().message);
  return Error{Code::unavailable,
               fmt::format("this device's node ({}) has not ended within {} s{}", describe(holder),
                           kPatience.count(), why),
               holder.pid > 0 ? fmt::format("`caravan logs` shows what it does; kill {} ends it", holder.pid)
                              : "`caravan logs` shows what it does"};
}

void add_stop(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = root.add_subcommand("stop", "End this device's node");
  command->footer(kExamples);
  command->add_flag("--json", *json, "Print one line of JSON");
  command->callback([json, run]() { run([json]() { return stop_command(*json); }); });
}

}  // namespace caravan::cli
