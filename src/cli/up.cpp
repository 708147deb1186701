#include "cli/up.h"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <system_error>

#include <fmt/format.h>

#include "app/device_system.h"
#include "app/node.h"
#include "app/node_lock.h"
#include "base/text.h"
#include "cli/background.h"
#include "cli/device_name.h"
#include "cli/doctor_report.h"
#include "cli/interrupt.h"
#include "cli/node_arguments.h"
#include "cli/node_log.h"
#include "cli/node_report.h"
#include "cli/node_runner.h"
#include "cli/peer_address.h"
#include "cli/print.h"
#include "cli/this_node.h"
#include "cli/up_report.h"
#include "cli/wake_lock.h"

namespace caravan::cli {
namespace {

constexpr std::chrono::seconds kAnswerTime{5};
constexpr const char* kExamples = R"(Examples:
  caravan up                         this device's node, until Ctrl-C; state in ~/.caravan
  caravan up -d                      the same in the background; `caravan logs -f` watches it
  caravan up -d --port 8081          its API on another port
  caravan up --memory 2G --name tab  leave the rest to other apps; call this device "tab"
  caravan stop                       ends it

Where Termux is, its wake lock is held while the node is up.
Exit codes: 0 it is up, or was already, or was ended by Ctrl-C; else as an error says.)";

struct Arguments {
  NodeArguments node;
  std::string name;
  std::vector<std::string> peers;
  int link_port = link::kLinkPort;
  std::string link_address = "0.0.0.0";
  bool no_discovery = false;
  bool background = false;
  bool started_by_up = false;
  bool json = false;
  std::vector<std::string> words;  ///< for the process in the background
};

int already_up(const Arguments& arguments, const app::LockHolder& holder) {
  const auto state = state_of_this_node(kAnswerTime);
  if (arguments.json) {
    Json event{{"event", "already_up"}, {"pid", holder.pid}, {"since", holder.since}};
    if (state) event["state"] = to_json(*state);
    fmt::print("{}\n", dump_json(event));
    return 0;
  }
  fmt::print("already up ({})\n", describe(holder));
  if (!state) {
    fmt::print("{}\n", printable(state.error().message));
    return 0;
  }
  for (const std::string& line : lines_of(*state)) fmt::print("{}\n", printable(line));
  return 0;
}

int up_in_background(const Arguments& arguments, const fs::path& folder) {
  std::vector<std::string> words{"up", "--started-by-up"};
  words.insert(words.end(), arguments.words.begin(), arguments.words.end());
  auto started = start_in_background(words);
  if (!started) {
    // Another one may have been faster.
    const auto holder = app::lock_holder(folder);
    if (holder && *holder) return already_up(arguments, **holder);
    return print_error(started.error(), arguments.json);
  }
  Fields fields(*started, "announcement");
  const auto dangers = android_dangers(app::this_system(folder), fields.flag_or("wake_lock", false));
  if (arguments.json) {
    Json& told = (*started)["android"] = Json::array();
    for (const doctor::Diagnosis& danger : dangers) told.push_back(to_json(danger));
    fmt::print("{}\n", dump_json(*started));
    return 0;
  }
  fmt::print("{} is up in the background: {}/v1  (process {}; `caravan stop` ends it)\n",
             printable(fields.text_or("device", "this device")), printable(fields.text_or("api", "")),
             fields.small_or("pid", 0));
  for (const doctor::Diagnosis& danger : dangers) fmt::print("{}", text_of(danger));
  return 0;
}

UpReport::Reader reader_of(const Arguments& arguments) {
  if (arguments.started_by_up) return UpReport::Reader::starter;
  if (arguments.json) return UpReport::Reader::json;
  return is_terminal(stdout) ? UpReport::Reader::terminal : UpReport::Reader::lines;
}

/// Keeps the phone awake, and says what Android may do all the same.
WakeLock stay_awake(UpReport& report, const device::SystemView& system, bool tell_dangers) {
  WakeLock lock = WakeLock::take(app::program_folders());
  if (lock.error()) {
    report.note(
        fmt::format("Termux's wake lock could not be taken ({}): this device may sleep when its screen "
                    "is off",
                    lock.error()->message));
  }
  if (!tell_dangers) return lock;
  for (const doctor::Diagnosis& danger : android_dangers(system, lock.held())) report.note(text_of(danger));
  return lock;
}

Result<app::NodeOptions> options_from(const Arguments& arguments, const fs::path& folder,
                                      const device::SystemView& system) {
  auto options = node_options(arguments.node);
  if (!options) return options;
  options->device = arguments.name.empty() ? default_device_name(system) : arguments.name;
  options->state_folder = folder;
  auto peers = peer_addresses(arguments.peers);
  if (!peers) return with_context(peers.error(), "--peer");
  app::ClusterOptions cluster;
  cluster.name = options->device;
  cluster.program = fs::read_symlink("/proc/self/exe");
  cluster.engine = options->engine;
  if (!arguments.node.memory.empty()) cluster.memory = options->memory;
  cluster.mesh.folder = folder;
  cluster.mesh.link_address = arguments.link_address;
  cluster.mesh.link_port = arguments.link_port;
  cluster.mesh.discover = !arguments.no_discovery;
  cluster.mesh.peers = std::move(*peers);
  options->cluster = std::move(cluster);
  return options;
}

/// Its current folder may be on a disk that somebody wants to take out; what it writes goes to the log.
Result<void> settle_in_background(const fs::path& folder) {
  std::error_code failure;
  fs::current_path(folder, failure);
  if (failure) return errno_error("cannot enter " + for_people(folder), failure.value());
  return redirect_to_node_log(folder, STDERR_FILENO);
}

int up_here(const Arguments& arguments, const fs::path& folder) {
  UpReport report(reader_of(arguments), folder);
  const auto lock = app::NodeLock::take(folder);
  if (!lock) {
    const auto holder = app::lock_holder(folder);
    const bool other = holder && *holder && !arguments.started_by_up;
    return other ? already_up(arguments, **holder) : report.failed(lock.error());
  }
  if (const auto opened = open_node_log(folder); !opened) return report.failed(opened.error());
  const device::SystemView system = app::this_system(folder);
  auto options = options_from(arguments, folder, system);
  if (!options) return report.failed(options.error());
  if (arguments.started_by_up) {
    if (const auto settled = settle_in_background(folder); !settled) return report.failed(settled.error());
  }
  auto interrupt = std::make_unique<InterruptFlag>();
  const WakeLock awake = stay_awake(report, system, !arguments.started_by_up);
  if (InterruptFlag::is_set()) return report.failed({Code::interrupted, "interrupted", ""});
  interrupt.reset();  // from here on the node obeys the signals

  NodeEvents events;
  events.ready = [&](const app::Node& node) { report.ready(*options, node.api_url(), awake.held()); };
  events.failed = [&](const Error& error) { report.failed(error); };
  events.state = [&](const cluster::NodeState& state) { report.state(state); };
  const int exit_code = run_node(*options, false, events);
  if (exit_code == 0) report.ended();
  return exit_code;
}

int up_command(const Arguments& arguments) {
  if (!arguments.name.empty()) {
    if (const auto checked = check_device_name(arguments.name); !checked)
      return print_error(checked.error(), arguments.json);
  }
  const fs::path folder = this_nodes_folder();
  const auto holder = app::lock_holder(folder);
  if (!holder) return print_error(holder.error(), arguments.json);
  if (*holder && !arguments.started_by_up) return already_up(arguments, **holder);
  return arguments.background ? up_in_background(arguments, folder) : up_here(arguments, folder);
}

}  // namespace

void add_up(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("up", "Run this device's node, here or in the background");
  command->footer(kExamples);
  command->add_flag("-d,--detach", arguments->background, "In the background: come back when it is up");
  command->add_option("--peer", arguments->peers, "Where another device of the cluster is: HOST or HOST:PORT")
      ->delimiter(',');
  command
      ->add_option("--link-port", arguments->link_port,
                   "TCP port for the cluster's other devices, 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--link-address", arguments->link_address, "Address of this device that they may use")
      ->check(CLI::ValidIPV4 | CLI::IsMember({"::"}))
      ->capture_default_str();
  command->add_flag("--no-discovery", arguments->no_discovery, "Neither send beacons nor listen to them");
  command->add_option("--name", arguments->name, "Name of this device (default: its model, or host name)");
  add_node_options(*command, arguments->node);
  command->add_flag("--json", arguments->json, "One JSON event a line");
  command->add_flag("--started-by-up", arguments->started_by_up, "")->group("");
  command->callback([arguments, command, run]() {
    arguments->words = words_given(*command, {"--detach", "--json"});
    run([arguments]() { return up_command(*arguments); });
  });
}

}  // namespace caravan::cli
