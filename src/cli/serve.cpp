#include "cli/serve.h"

#include <cstdio>
#include <memory>
#include <system_error>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/cluster_command.h"
#include "cli/plain_offers.h"
#include "cli/print.h"
#include "cli/speculation_option.h"
#include "cli/status_table.h"
#include "cli/transfer_report.h"
#include "cli/wire_option.h"
#include "model/pull.h"

namespace caravan::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  caravan serve llama-3.2-1b                       across the cluster's devices, as fast as that goes
  caravan serve llama-3.2-1b --for throughput      many conversations at once: a copy on each device that can
  caravan serve ~/models/my.gguf --context 8192    a model of your own
  caravan serve qwen2.5-3b --avoid old-phone       without that device
  caravan serve qwen2.5-3b --data-path rpc         through llama.cpp's RPC instead of Caravan's own workers
  caravan serve qwen2.5-3b --beside                on the devices that are free; what is served goes on
  caravan serve --stop qwen2.5-3b                  that model is served no more; the others go on
  caravan serve qwen2.5-3b --plain-worker 192.168.1.5
                                                   with a machine that only runs llama.cpp's `ggml-rpc-server`:
                                                   what goes there is not encrypted
  caravan serve --stop                             no model is served any more

Without --beside the model replaces all that is served. A device carries one model at a time.
The model is fetched here if it is not here yet. It comes back by itself after restarts, until `--stop`.)";

struct Arguments {
  std::string model;
  std::string objective = "latency";
  std::string data_path = "fabric";
  std::string wire = "f32";
  std::string speculation = "auto";
  std::string keep_free = "0";
  std::vector<std::string> use;
  std::vector<std::string> avoid;
  std::vector<std::string> plain;
  int context = 0;
  int parallel = 0;
  bool beside = false;
  bool stop = false;
  bool no_wait = false;
  bool json = false;
};

bool is_path(const std::string& model) {
  return model.find('/') != std::string::npos || model.ends_with(".gguf");
}

/// As clients see it.
std::string served_name(const std::string& model) {
  return is_path(model) ? fs::path(model).stem().string() : model;
}

Result<Json> asked_from(const Arguments& arguments) {
  const auto keep_free = parse_bytes(arguments.keep_free);
  if (!keep_free) return with_context(keep_free.error(), "--keep-free");
  const auto plain = plain_offers(arguments.plain);
  if (!plain) return plain.error();
  TransferReport report("serve " + arguments.model, arguments.json);
  const auto path = model::ensure_model(arguments.model, report.control());
  report.clear();
  if (!path) return path.error();
  std::error_code failure;
  const fs::path whole = fs::absolute(*path, failure);
  return Json{{"path", failure ? path->string() : whole.string()},
              {"model", served_name(arguments.model)},
              {"for", arguments.objective},
              {"context", arguments.context},
              {"parallel", arguments.parallel},
              {"use", arguments.use},
              {"avoid", arguments.avoid},
              {"keep_free", keep_free->count},
              {"beside", arguments.beside},
              {"data_path", arguments.data_path},
              {"wire", arguments.wire},
              {"speculation", arguments.speculation},
              {"plain", to_json(*plain)}};
}

/// What a person calls the model that is to end: as it is served, which is what `serve` was given.
Json stop_from(const Arguments& arguments) {
  return arguments.model.empty() ? Json::object() : Json{{"stop", served_name(arguments.model)}};
}

/// Shows what is being done for one model until it answers, or cannot.
class ServeReport {
 public:
  ServeReport(bool json, std::string model) : json_(json), model_(std::move(model)) {}

  /// False when it is over.
  bool show(const Json& view) {
    const Json& deployment = deployment_of(view, model_);
    const std::string stage = text_in(deployment, "stage");
    if (stage.empty()) return true;  // not heard of yet
    const std::string text = deployment_text(view, deployment);
    if (!json_) line_.update(text);
    if (json_ && text != last_)
      print({{"event", "progress"}, {"model", model_}, {"stage", stage}, {"text", text}});
    last_ = text;
    failed_ = stage == "failed";
    if (stage != "serving" && !failed_) return true;
    view_ = view;
    return false;
  }

  int ended(const Result<void>& watched) {
    line_.clear();
    if (!watched && watched.error().code == Code::interrupted && !json_)
      fmt::print("it goes on in the background: `caravan status` shows how far it is\n");
    if (!watched) return print_error(watched.error(), json_);
    if (failed_) return print_error(error_from_json(part_of(deployment_of(view_, model_), "error")), json_);
    if (json_) {
      print({{"event", "serving"}, {"view", view_}});
      return 0;
    }
    for (const std::string& text : status_lines(view_)) fmt::print("{}\n", text);
    return 0;
  }

 private:
  static void print(const Json& event) {
    fmt::print("{}\n", dump_json(event));
    std::fflush(stdout);
  }

  bool json_;
  std::string model_;
  ProgressLine line_;
  std::string last_;
  Json view_;
  bool failed_ = false;
};

int stop(const Arguments& arguments) {
  const auto done = ask_cluster("serve", stop_from(arguments));
  if (!done) return print_error(done.error(), arguments.json);
  const std::string model = served_name(arguments.model);
  Json event{{"event", "stopped"}};
  if (!model.empty()) event["model"] = model;
  if (arguments.json) fmt::print("{}\n", dump_json(event));
  if (!arguments.json)
    fmt::print("{} is served any more\n", model.empty() ? "no model" : "no " + printable(model));
  return 0;
}

int serve(const Arguments& arguments) {
  if (const auto fits = check_wire(arguments.wire, arguments.data_path); !fits)
    return print_error(fits.error(), arguments.json);
  if (!arguments.json) fmt::print("{}", wire_note(arguments.wire));
  const auto asked = asked_from(arguments);
  if (!asked) return print_error(asked.error(), arguments.json);
  const auto done = ask_cluster("serve", *asked);
  if (!done) return print_error(done.error(), arguments.json);
  if (arguments.no_wait) {
    if (arguments.json) fmt::print("{}\n", dump_json({{"event", "asked"}}));
    if (!arguments.json) fmt::print("asked for\n");
    return 0;
  }
  ServeReport report(arguments.json, served_name(arguments.model));
  const auto watched =
      run_interruptible(this_cluster().watch([&report](const Json& now) { return report.show(now); }));
  return report.ended(watched);
}

int serve_command(const Arguments& arguments) {
  if (arguments.stop) return stop(arguments);
  if (!arguments.model.empty()) return serve(arguments);
  return print_error(
      {Code::invalid, "which model?", "`caravan models list` shows some; `caravan serve --help`"},
      arguments.json);
}

}  // namespace

void add_serve(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("serve", "Run a model across the cluster, and keep it running");
  command->footer(kExamples);
  command->add_option("model", arguments->model, "Name (see `caravan models list`) or path of a GGUF");
  command
      ->add_option("--for", arguments->objective,
                   "What matters: latency, throughput or fit (the longest context)")
      ->check(CLI::IsMember({"latency", "throughput", "fit"}))
      ->capture_default_str();
  command->add_option("--context", arguments->context, "Tokens of context for each sequence")
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--parallel", arguments->parallel, "Sequences at once (default: 1, for throughput 8)")
      ->check(CLI::Range(1, 1024));
  command->add_option("--use", arguments->use, "Devices that have to take part")->delimiter(',');
  command->add_option("--avoid", arguments->avoid, "Devices that must not take part")->delimiter(',');
  command
      ->add_option("--plain-worker", arguments->plain,
                   "Address of a stock RPC server that takes part, port 50052 if not given: no encryption")
      ->delimiter(',');
  command
      ->add_option("--data-path", arguments->data_path,
                   "How devices exchange results: fabric, Caravan's own, or rpc, llama.cpp's")
      ->check(CLI::IsMember({"rpc", "fabric"}))
      ->capture_default_str();
  add_wire_option(*command, arguments->wire);
  add_speculation_option(*command, arguments->speculation);
  command->add_option("--keep-free", arguments->keep_free, "Memory to leave alone on each device")
      ->capture_default_str();
  CLI::Option* beside =
      command->add_flag("--beside", arguments->beside, "Leave alone what is served already");
  command->add_flag("--stop", arguments->stop, "Serve this model no more; without one, none at all")
      ->excludes(beside);
  command->add_flag("--no-wait", arguments->no_wait, "Do not wait until it answers");
  command->add_flag("--json", arguments->json, "One JSON event a line");
  command->callback([arguments, run]() { run([arguments]() { return serve_command(*arguments); }); });
}

}  // namespace caravan::cli
