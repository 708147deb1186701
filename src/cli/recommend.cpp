#include "cli/recommend.h"

#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "cli/cluster_source.h"
#include "cli/print.h"
#include "cli/recommend_report.h"
#include "model/shape.h"

namespace caravan::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  caravan models recommend                              for this device
  caravan models recommend --devices phones.json        for the devices of that file (see `caravan plan --help`)
  caravan models recommend --for fit                    the largest model, however slow
  caravan models recommend --min-speed 15 --context 8192

How models are ordered: docs/recommend.md. Speeds of this device: `caravan calibrate` measures them.)";

struct Arguments {
  std::string devices;
  std::string objective = "latency";
  plan::RecommendWishes wishes;
  double least_speed = -1;
  bool json = false;
};

int recommend_command(const Arguments& arguments) {
  plan::RecommendWishes wishes = arguments.wishes;
  if (arguments.objective == "throughput") wishes.objective = plan::Objective::throughput;
  if (arguments.objective == "fit") wishes.objective = plan::Objective::fit;
  if (arguments.least_speed >= 0) wishes.least_speed = arguments.least_speed;
  const auto cluster = cluster_from(arguments.devices);
  if (!cluster) return print_error(cluster.error(), arguments.json);
  const auto catalogue = model::load_catalogue();
  if (!catalogue) return print_error(catalogue.error(), arguments.json);
  const auto shapes = model::known_shapes();
  if (!shapes) return print_error(shapes.error(), arguments.json);
  const auto found = plan::recommend(*shapes, *cluster, wishes);
  if (!found) return print_error(found.error(), arguments.json);
  if (arguments.json) {
    fmt::print("{}\n", dump_json(recommend_json(*found, *cluster, wishes, *catalogue)));
  } else {
    fmt::print("{}", recommend_text(*found, *cluster, wishes, *catalogue));
  }
  std::fflush(stdout);
  return 0;
}

}  // namespace

void add_recommend(CLI::App& models, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      models.add_subcommand("recommend", "Which models suit the devices, how fast they would be, and why");
  command->footer(kExamples);
  command->add_option("--devices", arguments->devices, "File with devices and links (default: this device)");
  command
      ->add_option("--for", arguments->objective,
                   "What matters: latency, throughput or fit (the most able model that fits)")
      ->check(CLI::IsMember({"latency", "throughput", "fit"}))
      ->capture_default_str();
  command->add_option("--context", arguments->wishes.context, "Tokens of context for each sequence")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command
      ->add_option("--min-speed", arguments->least_speed,
                   "Tokens/s that an answer has to reach (default: 5, as fast as people read; for fit 1)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--limit", arguments->wishes.most, "How many models to show at most")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "All of it as JSON");
  command->callback([arguments, run]() { run([arguments]() { return recommend_command(*arguments); }); });
}

}  // namespace caravan::cli
