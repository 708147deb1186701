#include "cli/join.h"

#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "app/device_system.h"
#include "app/joining.h"
#include "base/text.h"
#include "cli/background.h"
#include "cli/cluster_command.h"
#include "cli/device_name.h"
#include "cli/peer_address.h"
#include "cli/print.h"
#include "cli/stop.h"

namespace caravan::cli {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kSearch{20};
constexpr const char* kExamples = R"(Examples:
  caravan join                          finds the device on which `caravan invite` runs: compare the digits
  caravan join caravan1:MFRGG...        with the code of `caravan invite --code`
  caravan join --peer 192.168.1.20      where beacons do not get through
  caravan join --cluster kitchen        when several devices let others in
  caravan join --no-up                  join only; `caravan up` later

Afterwards this device's node runs in the background, with the options that it was up with before, if it was;
`caravan status` shows the cluster.)";

struct Arguments {
  std::string code;
  std::string name;
  std::string door;
  std::vector<std::string> peers;
  bool no_up = false;
  bool json = false;
};

void say(const Arguments& arguments, const std::string& text) {
  fmt::print(arguments.json ? stderr : stdout, "{}\n", text);
  std::fflush(stdout);
}

Result<app::OpenDoor> choose(const Arguments& arguments, const std::vector<app::OpenDoor>& doors) {
  std::vector<std::string> names;
  for (const app::OpenDoor& door : doors) {
    if (door.name == arguments.door || door.device == arguments.door) return door;
    names.push_back(printable(door.name));
  }
  if (arguments.door.empty() && doors.size() == 1) return doors.front();
  if (arguments.door.empty())
    return Error{Code::invalid, "several devices let others in: " + join(names, ", "),
                 "choose one with --cluster NAME"};
  return Error{Code::not_found,
               fmt::format("no device called '{}' lets others in", printable(arguments.door)),
               "there is: " + join(names, ", ")};
}

asio::awaitable<Result<app::Joined>> by_digits(const Arguments& arguments, app::JoinOptions options,
                                               std::vector<link::LinkAddress> peers) {
  app::OpenDoor door{"", "", std::move(peers)};
  if (door.addresses.empty()) {
    say(arguments, "looking for a device that lets others in");
    auto identity = link::Identity::load_or_create(options.folder);
    if (!identity) co_return identity.error();
    const auto doors = co_await app::find_open_doors(identity->id(), kSearch);
    if (!doors) co_return doors.error();
    auto chosen = choose(arguments, *doors);
    if (!chosen) co_return chosen.error();
    door = std::move(*chosen);
  }
  std::function<void(const std::string&, const std::string&)> show = [&arguments](const std::string& digits,
                                                                                  const std::string& peer) {
    say(arguments, fmt::format("\n    {} {}\n\nif {} shows the same digits, press y there",
                               digits.substr(0, 3), digits.substr(3), printable(peer)));
  };
  co_return co_await app::join_by_digits(std::move(options), std::move(door), std::move(show));
}

/// What the person has said of the way there, checked.
struct Way {
  std::vector<link::LinkAddress> peers;
  std::optional<link::InvitationCode> code;
};

Result<Way> way_from(const Arguments& arguments) {
  auto peers = peer_addresses(arguments.peers);
  if (!peers) return peers.error();
  if (arguments.code.empty()) return Way{std::move(*peers), std::nullopt};
  auto code = link::InvitationCode::parse(arguments.code);
  if (!code) return code.error();
  return Way{std::move(*peers), std::move(*code)};
}

Result<app::Joined> join_cluster(const Arguments& arguments, const app::JoinOptions& options, Way way) {
  if (auto free = app::check_free_to_join(options.folder); !free) return free.error();
  if (!way.code) return run_interruptible(by_digits(arguments, options, std::move(way.peers)));
  return run_interruptible(app::join_by_code(options, std::move(*way.code), std::move(way.peers)));
}

/// This device's node, when it is up, and the words that start it again.
struct RunningNode {
  app::LockHolder holder;
  std::vector<std::string> words;
};

Result<std::optional<RunningNode>> running_node(const fs::path& folder) {
  const auto holder = app::lock_holder(folder);
  if (!holder) return holder.error();
  if (!*holder) return std::optional<RunningNode>();
  return std::optional(RunningNode{**holder, words_of_node((*holder)->pid)});
}

/// A node that runs would not notice that its cluster is another one.
Result<void> end_node_if_up(const Arguments& arguments, const fs::path& folder,
                            const std::optional<RunningNode>& running) {
  if (!running) return {};
  say(arguments, "this device is up in a cluster of its own: its node is started anew");
  return end_node(folder, running->holder);
}

/// What it did before it does again.
void start_again(const Arguments& arguments, const std::optional<RunningNode>& running) {
  if (!running) return;
  const auto started = start_in_background(running->words);
  if (started) return say(arguments, "this device's node is up again, in the background, as it was");
  say(arguments, fmt::format("this device's node, which was ended for this, could not be started again: {}; "
                             "`caravan up -d` starts it",
                             printable(started.error().message)));
}

/// As it was started before, when it was: what it may use, and its ports, stay as they were.
int start_node(const Arguments& arguments, const std::string& name, const std::optional<RunningNode>& running,
               Json& told) {
  std::vector<std::string> words = running ? running->words : words_to_start_again("");
  (void)take_option(words, "--name");
  words.insert(words.end(), {"--name", name});
  for (const std::string& peer : arguments.peers) words.insert(words.end(), {"--peer", peer});
  const auto started = start_in_background(words);
  if (!started)
    return print_error(with_context(started.error(), "joined, but the node did not start"), arguments.json);
  told["node"] = *started;
  say(arguments, "this device is up in the background; `caravan status` shows the cluster");
  return 0;
}

/// What its person calls it now, or when its node was started.
std::string name_of(const Arguments& arguments, const fs::path& folder,
                    const std::optional<RunningNode>& running) {
  if (!arguments.name.empty()) return arguments.name;
  if (running) {
    std::vector<std::string> words = running->words;
    if (auto name = take_option(words, "--name")) return *std::move(name);
  }
  return default_device_name(app::this_system(folder));
}

int join_command(const Arguments& arguments) {
  const fs::path folder = this_nodes_folder();
  const auto running = running_node(folder);
  if (!running) return print_error(running.error(), arguments.json);
  const app::JoinOptions options{folder, name_of(arguments, folder, *running)};
  if (const auto checked = check_device_name(options.name); !checked)
    return print_error(checked.error(), arguments.json);
  if (const auto free = app::check_free_to_join(folder); !free)
    return print_error(free.error(), arguments.json);
  auto way = way_from(arguments);
  if (!way) return print_error(way.error(), arguments.json);
  if (const auto ended = end_node_if_up(arguments, folder, *running); !ended)
    return print_error(ended.error(), arguments.json);
  const auto joined = join_cluster(arguments, options, std::move(*way));
  if (!joined) {
    start_again(arguments, *running);
    return print_error(joined.error(), arguments.json);
  }
  Json told{{"cluster", joined->cluster}, {"devices", joined->devices}};
  say(arguments, fmt::format("joined '{}', {} devices", printable(joined->cluster), joined->devices));
  const int exit_code = arguments.no_up ? 0 : start_node(arguments, options.name, *running, told);
  if (arguments.json && exit_code == 0) fmt::print("{}\n", dump_json(told));
  return exit_code;
}

}  // namespace

void add_join(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("join", "Take this device into a cluster");
  command->footer(kExamples);
  command->add_option("code", arguments->code, "The code of `caravan invite --code`");
  command->add_option("--peer", arguments->peers, "Address of a device of the cluster: HOST or HOST:PORT")
      ->delimiter(',');
  command->add_option("--cluster", arguments->door, "Name of the device that lets this one in");
  command->add_option("--name", arguments->name,
                      "Name of this device (default: as it is up, or its model, or host name)");
  command->add_flag("--no-up", arguments->no_up, "Do not start this device's node");
  command->add_flag("--json", arguments->json, "Print one line of JSON");
  command->callback([arguments, run]() { run([arguments]() { return join_command(*arguments); }); });
}

}  // namespace caravan::cli
