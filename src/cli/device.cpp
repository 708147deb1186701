#include "cli/device.h"

#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "app/device_system.h"
#include "cli/device_table.h"
#include "device/facts_json.h"
#include "model/store.h"

namespace caravan::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  caravan device                what this device can give to a model, and what it hides
  caravan device --json         the same for a program (docs/device-facts.md)

On Android, battery and Wi-Fi are told by Termux:API only: pkg install termux-api, and its app.)";

int device_command(bool json) {
  const device::DeviceFacts facts =
      device::read_device_facts(app::this_system(model::default_model_roots().own));
  fmt::print("{}", json ? dump_json(device::to_json(facts)) + "\n" : table_of(facts));
  std::fflush(stdout);
  return 0;
}

}  // namespace

void add_device(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = root.add_subcommand("device", "Show what this device can give to a model");
  command->footer(kExamples);
  command->add_flag("--json", *json, "Print one line of JSON");
  command->callback([json, run]() { run([json]() { return device_command(*json); }); });
}

}  // namespace caravan::cli
