#include "cli/members.h"

#include <memory>
#include <string>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/cluster_command.h"
#include "cli/print.h"

namespace caravan::cli {
namespace {

struct Arguments {
  std::string device;
  std::string name;
  bool json = false;
};

/// Asks the node, and says that it is done.
int carry_out(const std::string& what, const Arguments& arguments, const std::string& told) {
  Json body = Json::object();
  if (!arguments.device.empty()) body["device"] = arguments.device;
  if (!arguments.name.empty()) body["name"] = arguments.name;
  const auto done = ask_cluster(what, std::move(body));
  if (!done) return print_error(done.error(), arguments.json);
  fmt::print("{}\n", arguments.json ? dump_json({{"done", what}}) : printable(told));
  return 0;
}

void add_about_device(CLI::App& root, const std::function<void(std::function<int()>)>& run,
                      const std::string& what, const std::string& description, const std::string& examples,
                      const std::string& told) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand(what, description);
  command->footer(examples);
  command->add_option("device", arguments->device, "Its name, its id, or the beginning of the id")
      ->required();
  if (what == "rename") command->add_option("name", arguments->name, "The new name")->required();
  command->add_flag("--json", arguments->json, "Print one line of JSON");
  command->callback([arguments, what, told, run]() {
    run([arguments, what, told]() {
      return carry_out(what, *arguments, fmt::format(fmt::runtime(told), arguments->device, arguments->name));
    });
  });
}

}  // namespace

void add_members(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  add_about_device(
      root, run, "remove", "Remove a device from the cluster, also while it is away",
      "Examples:\n  caravan remove old-phone     by its name\n  caravan remove abcd-efgh     by its id\n\n"
      "Its links are cut at once on every device that is up, and on the others when they hear of it.",
      "{} is removed: nothing that it says counts any more");
  add_about_device(root, run, "rename", "Give a device another name",
                   "Examples:\n  caravan rename localhost kitchen-tablet", "{} is called {} from now on");
  add_about_device(root, run, "promote", "Let a device let others in and remove them, as this one can",
                   "Examples:\n  caravan promote laptop", "{} is an owner from now on");
  auto arguments = std::make_shared<Arguments>();
  CLI::App* leave = root.add_subcommand("leave", "Take this device out of its cluster");
  leave->footer(
      "Examples:\n  caravan leave     the last owner cannot: `caravan promote` another device first");
  leave->add_flag("--json", arguments->json, "Print one line of JSON");
  leave->callback([arguments, run]() {
    run([arguments]() { return carry_out("leave", *arguments, "this device has left its cluster"); });
  });
}

}  // namespace caravan::cli
