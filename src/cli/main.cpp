// The caravan program: one subcommand a file; this one only puts them together.
#include <algorithm>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/calibrate.h"
#include "cli/chat.h"
#include "cli/demo.h"
#include "cli/device.h"
#include "cli/doctor.h"
#include "cli/engine.h"
#include "cli/invite.h"
#include "cli/join.h"
#include "cli/kernel_bench.h"
#include "cli/logs.h"
#include "cli/members.h"
#include "cli/models.h"
#include "cli/node.h"
#include "cli/plan.h"
#include "cli/print.h"
#include "cli/serve.h"
#include "cli/status.h"
#include "cli/stop.h"
#include "cli/trace.h"
#include "cli/up.h"

namespace caravan::cli {
namespace {

constexpr const char* kDescription =
    "Caravan runs one large language model across the devices that you own and serves it as one "
    "OpenAI-compatible API.";
constexpr const char* kFooter = R"(Examples:
  caravan demo                      three devices on this machine answer a question
  caravan up -d                     this device's node, in the background
  caravan chat                      talk to the model that it serves
  caravan logs -f                   what it does
  caravan trace                     where the time of a token goes
  caravan stop                      end it
  caravan models list               models that Caravan knows, and which are here
  caravan plan llama-3.2-1b         who would carry what of it, how fast, and why
  caravan device                    what this device can give, and what it hides
  caravan doctor                    what is wrong on this device, and how to cure it
  caravan engine                    which llama.cpp is used, and what it can do
  caravan COMMAND --help            more about one command

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 unavailable, 130 interrupted.)";

/// The first word that looks like a command but is none, so that a near one can be suggested.
std::string unknown_command(const CLI::App& root, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word.empty() || word.front() == '-') continue;
    const auto subcommands = root.get_subcommands([](const CLI::App*) { return true; });
    const bool known = std::any_of(subcommands.begin(), subcommands.end(),
                                   [&](const CLI::App* app) { return app->check_name(word); });
    return known ? "" : word;
  }
  return "";
}

std::string suggestion(const CLI::App& root, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* app : root.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(app->get_name());
  const std::string nearest = closest_match(word, names);
  return nearest.empty() ? "caravan --help lists the commands"
                         : fmt::format("did you mean `caravan {}`?", nearest);
}

int usage_error(const CLI::App& root, const CLI::ParseError& error, const std::vector<std::string>& words) {
  if (const std::string word = unknown_command(root, words); !word.empty()) {
    return print_error(
        {Code::invalid, fmt::format("there is no command '{}'", word), suggestion(root, word)});
  }
  std::string command = "caravan";
  for (const CLI::App* app : root.get_subcommands()) command += " " + app->get_name();
  std::string cause = error.what();
  cause = cause.substr(0, cause.find('\n'));
  return print_error({Code::invalid, cause, fmt::format("`{} --help` shows how it is used", command)});
}

int run(int argc, char** argv) {
  CLI::App root(kDescription, "caravan");
  root.set_version_flag("--version", "caravan " CARAVAN_VERSION);
  root.footer(kFooter);
  root.require_subcommand(1);
  std::function<int()> chosen;
  const auto choose = [&](std::function<int()> command) { chosen = std::move(command); };
  add_demo(root, choose);
  add_up(root, choose);
  add_invite(root, choose);
  add_join(root, choose);
  add_status(root, choose);
  add_serve(root, choose);
  add_members(root, choose);
  add_chat(root, choose);
  add_logs(root, choose);
  add_trace(root, choose);
  add_stop(root, choose);
  add_models(root, choose);
  add_device(root, choose);
  add_doctor(root, choose);
  add_engine(root, choose);
  add_node(root, choose);
  add_plan(root, choose);
  add_calibrate(root, choose);
  add_kernel_bench(root, choose);
  if (argc < 2) {
    fmt::print("{}", root.help());
    return exit_code_of(Code::invalid);
  }
  try {
    root.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help and --version
    return root.exit(asked);
  } catch (const CLI::ParseError& error) {
    return usage_error(root, error, std::vector<std::string>(argv + 1, argv + argc));
  }
  return chosen ? chosen() : exit_code_of(Code::invalid);
}

}  // namespace
}  // namespace caravan::cli

int main(int argc, char** argv) {
  using caravan::Code;
  try {
    return caravan::cli::run(argc, argv);
  } catch (const std::bad_alloc&) {
    return caravan::cli::print_error(
        {Code::exhausted, "out of memory", "close other programs, or use a smaller model"});
  } catch (const std::exception& error) {
    return caravan::cli::print_error(
        {Code::bug, std::string("unexpected: ") + error.what(),
         "this is a defect of Caravan: please report it with the command that you ran"});
  }
}
