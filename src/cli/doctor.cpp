#include "cli/doctor.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/device_system.h"
#include "base/text.h"
#include "cli/cluster_command.h"
#include "cli/doctor_report.h"
#include "cli/print.h"
#include "doctor/all_checks.h"
#include "doctor/checkup.h"

namespace caravan::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  caravan doctor                                all that can be checked on this device
  caravan doctor --only api-port,link-port      only these checks
  caravan doctor --list                         their names, and what each looks at
  caravan doctor --json                         one line of JSON for a program

Each finding says what was found, why it matters and how to cure it (docs/doctor.md).
Exit codes: 0 no problem (perhaps notes and warnings), 1 at least one problem.)";

struct Arguments {
  std::vector<std::string> only;
  std::string engine;
  bool json = false;
  bool list = false;
};

/// The first name that no check has.
std::optional<Error> unknown_name(const std::vector<std::string>& wanted,
                                  const std::vector<doctor::CheckInfo>& checks) {
  std::vector<std::string> names;
  names.reserve(checks.size());
  for (const doctor::CheckInfo& check : checks) names.emplace_back(check.name);
  const std::set<std::string> known(names.begin(), names.end());
  for (const std::string& name : wanted) {
    if (known.count(name) > 0) continue;
    const std::string closest = closest_match(name, names);
    return Error{
        Code::invalid, fmt::format("there is no check '{}'", printable(name)),
        closest.empty() ? "`caravan doctor --list` shows all" : fmt::format("did you mean {}?", closest)};
  }
  return std::nullopt;
}

int print_list(const std::vector<doctor::CheckInfo>& checks, bool json) {
  if (!json) {
    fmt::print("{}", list_of(checks));
    return 0;
  }
  Json list = Json::array();
  for (const doctor::CheckInfo& check : checks) list.push_back({{"name", check.name}, {"what", check.what}});
  fmt::print("{}\n", dump_json(Json{{"checks", std::move(list)}}));
  return 0;
}

int doctor_command(const Arguments& arguments) {
  auto surroundings = doctor::surroundings_of_this_device(app::this_system(model::default_model_roots().own),
                                                          arguments.engine);
  surroundings.cluster = []() { return run_to_end(this_cluster().view()); };
  const auto steps = doctor::all_steps(surroundings);
  const auto checks = checks_of(steps);
  if (arguments.list) return print_list(checks, arguments.json);
  if (const auto unknown = unknown_name(arguments.only, checks)) return print_error(*unknown);
  const TimePoint started = Clock::now();
  Json findings = Json::array();
  const doctor::CheckupResult result =
      run_checkup(steps, {arguments.only.begin(), arguments.only.end()}, [&](const doctor::Diagnosis& one) {
        if (arguments.json) {
          findings.push_back(to_json(one));
        } else {
          fmt::print("{}", text_of(one));
          std::fflush(stdout);
        }
      });
  const std::chrono::duration<double> took = Clock::now() - started;
  if (arguments.json) {
    fmt::print("{}\n", dump_json({{"checks", std::move(findings)},
                                  {"summary", to_json(result.tally)},
                                  {"seconds", took.count()}}));
  } else {
    fmt::print("\n{}", summary_of(result.tally, took));
  }
  std::fflush(stdout);
  const int exit_code = result.tally.problems > 0 ? 1 : 0;
  // A thread that hangs still uses what an orderly end would destroy.
  if (result.hangs) std::_Exit(exit_code);
  return exit_code;
}

}  // namespace

void add_doctor(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      root.add_subcommand("doctor", "Find what is wrong on this device, and say how to cure it");
  command->footer(kExamples);
  command->add_option("--only", arguments->only, "Names of checks, separated by commas")->delimiter(',');
  command->add_option("--engine", arguments->engine, "Folder of the engine's programs");
  command->add_flag("--list", arguments->list, "List the checks, and run none");
  command->add_flag("--json", arguments->json, "Print one line of JSON");
  command->callback([arguments, run]() { run([arguments]() { return doctor_command(*arguments); }); });
}

}  // namespace caravan::cli
