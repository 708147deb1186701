#include "cli/plan.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/cluster_source.h"
#include "cli/located_facts.h"
#include "cli/plan_report.h"
#include "cli/print.h"
#include "cli/speculation_option.h"
#include "engine/probe.h"
#include "model/shape.h"
#include "plan/every_layout.h"
#include "plan/recommend.h"

namespace caravan::cli {

namespace asio = boost::asio;

namespace {

constexpr const char* kExamples = R"(Examples:
  caravan plan llama-3.2-1b                              this device alone
  caravan plan llama-3.1-8b --devices phones.json        the devices of that file, which need not be yours yet
  caravan plan llama-3.1-8b --devices phones.json --explain --context 8192
  caravan plan qwen2.5-3b --devices phones.json --for throughput --parallel 8

A devices file: {"devices": [{"name": "pixel-8", "kind": "flagship", "memory": "5G"},
                             {"name": "old-phone", "kind": "budget", "memory": "2G"}],
                 "link": {"profile": "wifi5"}}     (docs/planner.md has every field)
Speeds of this device: `caravan calibrate` measures them.)";

struct Arguments {
  std::string model;
  std::string devices;
  std::string objective = "latency";
  std::string data_path = "fabric";
  std::string speculation = "auto";
  std::string draft;
  std::string engine;
  std::string keep_free = "0";
  std::vector<std::string> use;
  std::vector<std::string> avoid;
  int context = 0;
  int parallel = 0;
  double first_token = 0;
  bool explain = false;
  bool every_layout = false;
  bool json = false;
};

Result<plan::Wishes> wishes_from(const Arguments& arguments) {
  plan::Wishes wishes;
  if (arguments.objective == "throughput") wishes.objective = plan::Objective::throughput;
  if (arguments.objective == "fit") wishes.objective = plan::Objective::fit;
  wishes.data_path = plan::data_path_from(arguments.data_path).value_or(plan::DataPath::fabric);
  wishes.speculation =
      plan::speculation_wish_from(arguments.speculation).value_or(plan::SpeculationWish::automatic);
  if (arguments.context > 0) wishes.context = arguments.context;
  if (arguments.parallel > 0) wishes.parallel = arguments.parallel;
  if (arguments.first_token > 0) wishes.first_token_within = arguments.first_token;
  wishes.use = arguments.use;
  wishes.avoid = arguments.avoid;
  const auto keep_free = parse_bytes(arguments.keep_free);
  if (!keep_free) return with_context(keep_free.error(), "--keep-free");
  wishes.keep_free = *keep_free;
  return wishes;
}

/// Nothing when there is no engine here: then there are no command lines, and the plan is just as good.
std::optional<PlanEngine> engine_here(const std::string& folder) {
  std::optional<PlanEngine> found;
  asio::io_context loop(1);
  asio::thread_pool background(1);
  const auto look = [&]() -> asio::awaitable<void> {
    auto places = engine::engine_places(folder);
    const auto facts =
        co_await engine::find_engine(loop.get_executor(), background.get_executor(), std::move(places));
    if (facts) found = PlanEngine{facts->server_flags, facts->rpc_flags, facts->rpc_device_names};
  };
  asio::co_spawn(loop, look, [](const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
  });
  loop.run();
  return found;
}

/// None when no engine is here or none is asked for.
Result<std::vector<CommandLine>> lines_of(const plan::Proposal& proposal, const LocatedFacts& model,
                                          const Arguments& arguments,
                                          const std::optional<PlanEngine>& engine) {
  if (!engine) return std::vector<CommandLine>{};
  return command_lines(proposal, model.is_here ? model.where : arguments.model + ".gguf", *engine);
}

/// For measuring the chosen one against all others.
int every_layout(const LocatedFacts& model, const plan::Cluster& cluster, const plan::Wishes& wishes,
                 const Arguments& arguments) {
  plan::Usage usage;
  usage.context = wishes.context.value_or(usage.context);
  usage.parallel = wishes.parallel.value_or(usage.parallel);
  usage.depth = std::min(usage.depth, usage.context);
  usage.data_path = wishes.data_path;
  const auto plans = plan::every_layout(model.facts, cluster, usage);
  if (!plans) return print_error(plans.error(), arguments.json);
  const auto engine = engine_here(arguments.engine);
  for (const plan::Plan& plan : *plans) {
    plan::Proposal proposal;
    proposal.predicted = plan.predicted;
    proposal.replicas = {plan};
    const auto lines = lines_of(proposal, model, arguments, engine);
    if (!lines) return print_error(lines.error(), arguments.json);
    fmt::print("{}\n", dump_json(plan_json(model.facts.name, proposal, *lines)));
  }
  std::fflush(stdout);
  return 0;
}

/// Which model to take instead of one that does not fit, on the same devices with as much left free; empty
/// when none fits or nothing is known of any.
std::string fitting_model(plan::Cluster cluster, const plan::Wishes& wishes) {
  const auto shapes = model::known_shapes();
  if (!shapes) return {};
  std::erase_if(cluster.devices, [&](const plan::DeviceProfile& device) {
    return std::find(wishes.avoid.begin(), wishes.avoid.end(), device.name) != wishes.avoid.end();
  });
  for (plan::DeviceProfile& device : cluster.devices)
    device.memory.count -= std::min(device.memory.count, wishes.keep_free.count);
  plan::RecommendWishes as_large;
  as_large.objective = plan::Objective::fit;
  as_large.context = wishes.context.value_or(as_large.context);
  as_large.most = 1;
  const auto found = plan::recommend(*shapes, cluster, as_large);
  if (!found) return {};
  const plan::Recommendation& best = found->best.front();
  return fmt::format(
      "another model: {} as {} is the most able that fits (`caravan models recommend --for fit`)", best.title,
      best.quantization);
}

int plan_command(const Arguments& arguments) {
  auto wishes = wishes_from(arguments);
  if (!wishes) return print_error(wishes.error(), arguments.json);
  const auto cluster = cluster_from(arguments.devices);
  if (!cluster) return print_error(cluster.error(), arguments.json);
  const auto model = facts_of(arguments.model);
  if (!model) return print_error(model.error(), arguments.json);
  if (arguments.every_layout) return every_layout(*model, *cluster, *wishes, arguments);
  if (!arguments.draft.empty()) {
    auto draft = facts_of(arguments.draft);
    if (!draft) return print_error(with_context(draft.error(), "--draft"), arguments.json);
    wishes->draft = std::move(draft->facts);
  }
  const auto proposal = plan::propose(model->facts, *cluster, *wishes);
  if (!proposal) {
    Error error = proposal.error();
    const std::string other = error.code == Code::exhausted ? fitting_model(*cluster, *wishes) : "";
    if (!other.empty()) error.hint += (error.hint.empty() ? "" : "; or ") + other;
    return print_error(error, arguments.json);
  }
  const auto engine = arguments.explain || arguments.json ? engine_here(arguments.engine) : std::nullopt;
  const auto commands = lines_of(*proposal, *model, arguments, engine);
  if (!commands) return print_error(commands.error(), arguments.json);
  if (arguments.json) {
    fmt::print("{}\n", dump_json(plan_json(model->facts.name, *proposal, *commands)));
  } else {
    fmt::print("{}", plan_text(model->facts.name, *proposal, *commands, arguments.explain));
  }
  std::fflush(stdout);
  return 0;
}

}  // namespace

void add_plan(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("plan", "Who would carry what of a model, how fast, and why");
  command->footer(kExamples);
  command->add_option("model", arguments->model, "Name (see `caravan models list`) or path of a GGUF")
      ->required();
  command->add_option("--devices", arguments->devices, "File with devices and links (default: this device)");
  command
      ->add_option("--for", arguments->objective,
                   "What matters: latency, throughput or fit (the longest context)")
      ->check(CLI::IsMember({"latency", "throughput", "fit"}))
      ->capture_default_str();
  command
      ->add_option("--context", arguments->context,
                   "Tokens of context for each sequence (default: 4096, or what fits)")
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--parallel", arguments->parallel, "Sequences at once (default: 1, for throughput 8)")
      ->check(CLI::Range(1, 1024));
  command->add_option("--use", arguments->use, "Devices that have to take part, e.g. pixel-8,tablet")
      ->delimiter(',');
  command->add_option("--avoid", arguments->avoid, "Devices that must not take part")->delimiter(',');
  command->add_option("--keep-free", arguments->keep_free, "Memory to leave alone on each device, e.g. 500M")
      ->capture_default_str();
  command
      ->add_option("--first-token", arguments->first_token,
                   "Longest time to the first token of 512, in seconds")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--data-path", arguments->data_path,
                   "How devices exchange results: fabric, Caravan's own, or rpc, llama.cpp's")
      ->check(CLI::IsMember({"fabric", "rpc"}))
      ->capture_default_str();
  add_speculation_option(*command, arguments->speculation);
  command->add_option("--draft", arguments->draft,
                      "A small model of the same family: say what it would bring by guessing tokens");
  command->add_option("--engine", arguments->engine, "Folder of the engine's programs");
  command->add_flag("--explain", arguments->explain,
                    "Every reason, what else there would be, and the command lines");
  CLI::Option* json = command->add_flag("--json", arguments->json, "All of it as JSON");
  command
      ->add_flag("--every-layout", arguments->every_layout,
                 "Not the best layout but each one that fits, a line of JSON for each (at most 3 devices)")
      ->needs(json);
  command->callback([arguments, run]() { run([arguments]() { return plan_command(*arguments); }); });
}

}  // namespace caravan::cli
