#include "cli/demo.h"

#include <atomic>
#include <csignal>
#include <memory>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "app/local_cluster.h"
#include "app/local_plan.h"
#include "base/text.h"
#include "cli/chat_api.h"
#include "cli/demo_report.h"
#include "cli/wire_option.h"
#include "device/cores.h"
#include "engine/change.h"
#include "engine/fabric.h"
#include "engine/probe.h"
#include "model/pull.h"

namespace caravan::cli {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::seconds kExplanationTime{2};
constexpr const char* kExamples = R"(Examples:
  caravan demo                                      three devices answer a question
  caravan demo --prompt "Why is the sky blue?"      another question
  caravan demo --devices 2 --memory 500M,300M       two devices, other budgets
  caravan demo --model ~/models/my.gguf --keep      your model; leave the API up until Ctrl-C)";

struct Arguments {
  int devices = 0;
  std::string memory;
  std::string model = "smollm2-135m";
  std::string data_path = "fabric";
  std::string wire = "f32";
  std::string prompt = "What is the capital of France? Answer in one sentence.";
  std::string engine;
  int context = 2048;
  int max_tokens = 200;
  int port = 0;
  bool keep = false;
  bool json = false;
};

Result<std::vector<plan::DeviceOffer>> devices_from(const Arguments& arguments) {
  constexpr int kDefaultDevices = 3;
  constexpr std::uint64_t kDefaultFirst = 600;
  constexpr std::uint64_t kDefaultOther = 400;
  std::vector<Bytes> budgets;
  if (!arguments.memory.empty()) {
    for (const std::string& piece : split(arguments.memory, ',')) {
      const auto bytes = parse_bytes(piece);
      if (!bytes) return with_context(bytes.error(), "--memory");
      budgets.push_back(*bytes);
    }
  }
  const int given = static_cast<int>(budgets.size());
  const int wanted = arguments.devices > 0 ? arguments.devices : (given > 0 ? given : kDefaultDevices);
  if (given > 0 && given != wanted) {
    return Error{Code::invalid, fmt::format("--memory has {} budgets for {} devices", given, wanted),
                 "give one budget for each device, for example --devices 2 --memory 600M,400M"};
  }
  std::vector<plan::DeviceOffer> devices;
  for (int i = 0; i < wanted; ++i) {
    const Bytes fallback = mebibytes(i == 0 ? kDefaultFirst : kDefaultOther);
    devices.push_back(
        {fmt::format("phone-{}", i + 1), given > 0 ? budgets[static_cast<std::size_t>(i)] : fallback});
  }
  return devices;
}

Json request_from(const Arguments& arguments) {
  Json message{{"role", "user"}, {"content", arguments.prompt}};
  return {{"model", arguments.model},
          {"messages", Json::array({std::move(message)})},
          {"temperature", 0},
          {"max_tokens", arguments.max_tokens}};
}

/// One run of the demo. Everything on one event loop, but for what blocks: that runs on `pool`.
class Demo {
 public:
  Demo(Arguments arguments, std::vector<plan::DeviceOffer> devices, asio::any_io_executor executor)
      : arguments_(std::move(arguments)),
        devices_(std::move(devices)),
        report_(arguments_.json),
        news_(executor),
        signals_(executor, SIGINT, SIGTERM, SIGHUP) {}

  asio::awaitable<int> run();

 private:
  asio::awaitable<Result<void>> steps();
  asio::awaitable<Result<void>> find_engine();
  asio::awaitable<Result<void>> get_model();
  asio::awaitable<Result<void>> start_devices();
  asio::awaitable<Result<void>> serve_and_ask();
  void choose_data_path();
  void use_rpc(const std::string& reason);
  asio::awaitable<Result<void>> converse();
  asio::awaitable<void> asked_to_end();
  void take_state(const cluster::NodeState& state);
  template <typename Work>
  auto on_pool(Work work) -> asio::awaitable<decltype(work())>;

  Arguments arguments_;
  std::vector<plan::DeviceOffer> devices_;
  DemoReport report_;
  engine::Change news_;
  asio::signal_set signals_;  // held to the end: a second Ctrl-C must not cut the clean-up short
  std::optional<cluster::Serving> serving_;
  std::vector<cluster::Traffic> traffic_;
  engine::EngineFacts engine_;
  fs::path model_path_;
  model::ModelFacts model_;
  plan::Plan plan_;
  cluster::DataPath data_path_ = cluster::DataPath::rpc;
  std::unique_ptr<app::LocalCluster> cluster_;
  std::atomic<bool> cancelled_{false};
  asio::thread_pool pool_{1};  // last: joined before what its work refers to goes
};

/// Runs `work` on the pool and comes back to the event loop with its value.
template <typename Work>
auto Demo::on_pool(Work work) -> asio::awaitable<decltype(work())> {
  std::optional<decltype(work())> value;
  const auto body = [&value, &work]() -> asio::awaitable<void> {
    value.emplace(work());
    co_return;
  };
  co_await asio::co_spawn(pool_, body, asio::use_awaitable);
  co_return std::move(*value);
}

asio::awaitable<void> Demo::asked_to_end() {
  co_await signals_.async_wait(asio::as_tuple(asio::use_awaitable));
  cancelled_ = true;  // a download on the pool watches this
}

asio::awaitable<int> Demo::run() {
  report_.begin(devices_.size());
  auto outcome = co_await (steps() || asked_to_end());
  Result<void> result = outcome.index() == 0 ? std::get<0>(std::move(outcome))
                                             : Result<void>(Error{Code::interrupted, "interrupted", ""});
  if (cluster_) co_await cluster_->stop();
  // --keep ends by Ctrl-C: that is its good end.
  const bool kept_to_the_end =
      arguments_.keep && serving_ && !result && result.error().code == Code::interrupted;
  if (!result && !kept_to_the_end) report_.error(result.error());
  report_.ended(!result && !kept_to_the_end, data_path_ == cluster::DataPath::fabric);
  co_return result || kept_to_the_end ? 0 : exit_code_of(result.error().code);
}

asio::awaitable<Result<void>> Demo::steps() {
  if (auto done = co_await find_engine(); !done) co_return done.error();
  if (auto done = co_await get_model(); !done) co_return done.error();
  if (auto done = co_await start_devices(); !done) co_return done.error();
  co_return co_await serve_and_ask();
}

asio::awaitable<Result<void>> Demo::find_engine() {
  const auto executor = co_await asio::this_coro::executor;
  auto facts =
      co_await engine::find_engine(executor, pool_.get_executor(), engine::engine_places(arguments_.engine));
  if (!facts) co_return facts.error();
  engine_ = std::move(*facts);
  report_.step("engine", fmt::format("llama.cpp {}, RPC {}", engine_.version, to_string(engine_.rpc)),
               {{"folder", engine_.files.folder().string()},
                {"version", engine_.version},
                {"build", engine_.build_id}});
  co_return Result<void>{};
}

asio::awaitable<Result<void>> Demo::get_model() {
  const auto executor = co_await asio::this_coro::executor;
  model::TransferControl control;
  control.on_progress = [this, executor](const model::Progress& progress) {
    asio::post(executor, [this, progress]() { report_.transfer(progress); });
  };
  control.cancelled = [this]() { return cancelled_.load(); };
  const auto ensure = [this, &control]() { return model::ensure_model(arguments_.model, control); };
  auto path = co_await on_pool(ensure);
  if (!path) co_return path.error();
  model_path_ = std::move(*path);
  const auto read = [this]() { return model::read_model_facts(model_path_); };
  auto facts = co_await on_pool(read);
  if (!facts) co_return facts.error();
  model_ = std::move(*facts);
  const std::string text = fmt::format("{} {}, {} layers, {}", model_.name, model_.quantization,
                                       model_.n_layers(), format_bytes(model_.file_size));
  report_.step("model", text,
               {{"name", model_.name}, {"path", model_path_.string()}, {"bytes", model_.file_size.count}});
  co_return Result<void>{};
}

asio::awaitable<Result<void>> Demo::start_devices() {
  auto plan = plan::plan_by_memory(model_, devices_, {.context = arguments_.context});
  if (!plan) co_return plan.error();
  const int threads = std::max(1, device::read_cores().decode.count / static_cast<int>(plan->shares.size()));
  plan_ = std::move(*plan);
  // What `caravan trace` compares with, where it is known already.
  if (const auto speed = device::load_speed(device::speed_path()))
    plan_ = app::predicted_here(model_, std::move(plan_), *speed, threads);
  for (plan::Share& share : plan_.shares) share.threads = threads;

  app::LocalClusterOptions options;
  options.program = fs::read_symlink("/proc/self/exe");
  options.engine = engine_.files.folder().string();
  options.devices = devices_;
  if (arguments_.port > 0) options.api_port = static_cast<std::uint16_t>(arguments_.port);
  app::LocalClusterEvents events{[this](const cluster::NodeState& state) { take_state(state); },
                                 [this](const cluster::Serving& serving) {
                                   serving_ = serving;
                                   news_.notify();
                                 }};
  const auto executor = co_await asio::this_coro::executor;
  cluster_ = std::make_unique<app::LocalCluster>(executor, std::move(options), std::move(events));
  auto states = co_await cluster_->start();
  if (!states) co_return states.error();
  std::vector<std::string> names;
  Json nodes = Json::array();
  for (const cluster::NodeState& state : *states) {
    names.push_back(state.device);
    nodes.push_back({{"device", state.device}, {"pid", state.pid}, {"memory", state.memory.count}});
  }
  report_.step("devices", fmt::format("{} up, a process each", join(names, ", ")),
               {{"nodes", nodes}, {"folder", cluster_->folder().string()}});
  report_.plan(model_, plan_);
  co_return Result<void>{};
}

void Demo::take_state(const cluster::NodeState& state) {
  if (state.role != cluster::Role::master) return;
  traffic_ = state.traffic;
  if (state.phase == cluster::Phase::loading) {
    report_.progress("loading", state.progress, "weights go to the workers");
  }
  news_.notify();
}

void Demo::use_rpc(const std::string& reason) {
  data_path_ = cluster::DataPath::rpc;
  report_.fallback(reason);
}

/// One device alone exchanges nothing.
void Demo::choose_data_path() {
  if (plan_.shares.size() < 2 || arguments_.data_path == "rpc") return;
  data_path_ = cluster::DataPath::fabric;
  if (const auto files = engine::locate_fabric(); !files) use_rpc(files.error().message);
}

asio::awaitable<Result<void>> Demo::serve_and_ask() {
  choose_data_path();
  cluster::Deployment deployment;
  deployment.model_path = model_path_.string();
  deployment.model_name = arguments_.model.find('/') == std::string::npos ? arguments_.model : model_.name;
  deployment.plan = plan_;
  deployment.wire = engine::wire_format_from(arguments_.wire).value_or(engine::WireFormat::f32);
  deployment.is_one_machine = true;
  const fs::path master = cluster_->folder() / plan_.shares.front().device;
  if (auto left = app::leave_plan(master, deployment.model_name, plan_); !left) co_return left.error();
  for (;;) {
    deployment.data_path = data_path_;
    auto outcome = co_await (cluster_->run(deployment) || converse());
    if (outcome.index() == 1) co_return std::get<1>(std::move(outcome));
    auto& ended = std::get<0>(outcome);
    if (!ended) co_return Result<void>{};
    // What the fabric cannot do shows before it serves.
    const bool is_fabric = data_path_ == cluster::DataPath::fabric;
    if (serving_ || !is_fabric || !cluster_->is_whole()) co_return *ended;
    use_rpc(ended->message);
  }
}

asio::awaitable<Result<void>> Demo::converse() {
  while (!serving_) co_await news_.past(news_.count());
  const std::string model_name = arguments_.model;
  const auto loaded = traffic_;
  report_.step("ready", fmt::format("answers at {}", serving_->api),
               {{"api", serving_->api}, {"data_path", name_of(data_path_)}});
  report_.question(arguments_.prompt);
  const auto where = parse_api_url(serving_->api);
  if (!where) co_return where.error();
  engine::HttpAddress address = *where;
  Json request = request_from(arguments_);
  std::function<void(std::string_view)> on_text = [this](std::string_view text) { report_.text(text); };
  const auto answer = co_await stream_chat(std::move(address), std::move(request), std::move(on_text));
  if (!answer) {
    // The controller hears of what broke from the device itself: give it the first word.
    asio::steady_timer patience(co_await asio::this_coro::executor, kExplanationTime);
    co_await patience.async_wait(asio::as_tuple(asio::use_awaitable));
    co_return answer.error();
  }
  // The master counts once a second, or when asked: the state after the answer has the whole traffic.
  if (auto state = co_await cluster_->state_of(serving_->device)) traffic_ = state->traffic;
  report_.result(*answer, loaded, traffic_);
  if (!arguments_.keep) co_return Result<void>{};
  report_.keep(serving_->api, model_name);
  for (;;) co_await news_.past(news_.count());
}

int demo_command(const Arguments& arguments) {
  if (const auto fits = check_wire(arguments.wire, arguments.data_path); !fits)
    return print_error(fits.error());
  if (!arguments.json) fmt::print("{}", wire_note(arguments.wire));
  auto devices = devices_from(arguments);
  if (!devices) return print_error(devices.error());
  asio::io_context loop(1);
  Demo demo(arguments, std::move(*devices), loop.get_executor());
  int exit_code = 0;
  asio::co_spawn(loop, demo.run(), [&](const std::exception_ptr& failure, int code) {
    exit_code = code;
    loop.stop();
    if (failure) std::rethrow_exception(failure);
  });
  loop.run();
  return exit_code;
}

}  // namespace

void add_demo(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      root.add_subcommand("demo", "Several devices on this machine answer a question together");
  command->footer(kExamples);
  command->add_option("--devices", arguments->devices, "How many devices (default: 3)")
      ->check(CLI::Range(1, 16));
  command->add_option("--memory", arguments->memory, "Their memory budgets (default: 600M,400M,400M)");
  command->add_option("--model", arguments->model, "Name (see `caravan models list`) or path of a GGUF")
      ->capture_default_str();
  command->add_option("--prompt", arguments->prompt, "The question")->capture_default_str();
  command->add_option("--context", arguments->context, "Tokens of context")
      ->check(CLI::Range(64, 1 << 20))
      ->capture_default_str();
  command->add_option("--max-tokens", arguments->max_tokens, "Longest answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--data-path", arguments->data_path,
                   "How devices exchange results: fabric, Caravan's own, or rpc, llama.cpp's")
      ->check(CLI::IsMember({"rpc", "fabric"}))
      ->capture_default_str();
  add_wire_option(*command, arguments->wire);
  command->add_option("--port", arguments->port, "Port of the API (default: 8080, or any free one)")
      ->check(CLI::Range(1, 65535));
  command->add_option("--engine", arguments->engine, "Folder of the engine's programs");
  command->add_flag("--keep", arguments->keep, "Leave the API up until Ctrl-C");
  command->add_flag("--json", arguments->json, "One JSON event a line");
  command->callback([arguments, run]() { run([arguments]() { return demo_command(*arguments); }); });
}

}  // namespace caravan::cli
