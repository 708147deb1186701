#include "app/engine_role.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "app/trace_desk.h"
#include "engine/fabric_worker.h"
#include "engine/llama_server.h"
#include "engine/rpc_server.h"

namespace caravan::app {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::seconds kRpcServerStart{15};
constexpr std::chrono::milliseconds kStopGrace{1000};
constexpr std::chrono::milliseconds kExitNews{200};  ///< in which a process that has ended is known to have
/// Most of what a worker gets is weights; the rest of loading (context, warm-up) is the last of the progress.
constexpr double kWeightsPart = 0.9;

struct NamedTunnel {
  std::string device;
  Bytes weights;
  std::unique_ptr<link::Tunnel> tunnel;
};

}  // namespace

struct EngineRole::Inner {
  asio::any_io_executor executor;
  engine::EngineFacts engine;
  fs::path log;
  cluster::Assignment assignment;
  OpenTunnel open_tunnel;
  std::function<void()> changed;

  cluster::Phase phase = cluster::Phase::starting;
  std::optional<Error> error;
  std::vector<NamedTunnel> tunnels;
  std::unique_ptr<engine::RpcServer> rpc_server;
  std::unique_ptr<engine::FabricWorker> fabric_worker;  ///< of a worker, or of the master's own layers
  std::unique_ptr<link::Tunnel> hand_off;
  std::unique_ptr<engine::LlamaServer> llama_server;
  std::optional<engine::HttpAddress> backend;

  bool uses_fabric() const { return assignment.data_path == cluster::DataPath::fabric; }
  asio::awaitable<void> run_worker();
  asio::awaitable<void> run_fabric_worker();
  asio::awaitable<Result<void>> start_fabric_worker();
  Result<void> add_fabric(engine::MasterArguments& arguments);
  asio::awaitable<void> serve();
  asio::awaitable<void> watch_fabric();
  asio::awaitable<void> run_master();
  Result<engine::MasterArguments> open_tunnels();
  double progress() const;

  void become(cluster::Phase next) {
    phase = next;
    changed();
  }
  /// The first failure is the cause of those that follow.
  void fail(Error failure) {
    if (phase == cluster::Phase::failed) return;
    error = std::move(failure);
    become(cluster::Phase::failed);
  }
  void plain_worker_lost(const std::string& name) {
    fail({Code::disconnected, "the plain worker " + name + " has ended the connection, or is gone",
          "is its `ggml-rpc-server` still running, and its machine awake?"});
  }
};

EngineRole::EngineRole(asio::any_io_executor executor, engine::EngineFacts engine, fs::path log,
                       cluster::Assignment assignment, OpenTunnel open_tunnel, std::function<void()> changed)
    : inner_(std::make_unique<Inner>(Inner{.executor = executor,
                                           .engine = std::move(engine),
                                           .log = std::move(log),
                                           .assignment = std::move(assignment),
                                           .open_tunnel = std::move(open_tunnel),
                                           .changed = std::move(changed)})) {}

EngineRole::~EngineRole() = default;

asio::awaitable<void> EngineRole::run() {
  if (inner_->assignment.role == cluster::Role::worker) co_await inner_->run_worker();
  if (inner_->assignment.role == cluster::Role::master) co_await inner_->run_master();
}

/// Its output is beside the other engine program's.
asio::awaitable<Result<void>> EngineRole::Inner::start_fabric_worker() {
  auto files = engine::locate_fabric();
  if (!files) co_return with_context(files.error(), "the fast data path");
  auto weights = engine::fabric_weights();
  if (!weights) co_return weights.error();
  engine::FabricWorkerSpec spec{*files, engine.files, assignment.threads, std::move(*weights),
                                log.parent_path() / "caravan-worker.log"};
  auto started = co_await engine::FabricWorker::start(executor, std::move(spec), kRpcServerStart);
  if (!started) co_return started.error();
  fabric_worker = std::move(*started);
  co_return Result<void>();
}

asio::awaitable<void> EngineRole::Inner::run_fabric_worker() {
  const auto started = co_await start_fabric_worker();
  if (!started) co_return fail(started.error());
  // Without a way to the next one, results go through the master.
  if (!assignment.next.empty()) {
    if (auto opened = open_tunnel({.device = assignment.next})) hand_off = std::move(*opened);
  }
  become(cluster::Phase::ready);
  const engine::ExitReport report = co_await fabric_worker->exited();
  if (report.cause != engine::ExitCause::asked) fail(report.error);
}

asio::awaitable<void> EngineRole::Inner::run_worker() {
  if (uses_fabric()) co_return co_await run_fabric_worker();
  engine::RpcServerSpec spec{engine.files, engine.rpc_flags, assignment.rank, assignment.threads, log};
  auto started = co_await engine::RpcServer::start(executor, std::move(spec), kRpcServerStart);
  if (!started) co_return fail(started.error());
  rpc_server = std::move(*started);
  become(cluster::Phase::ready);
  const engine::ExitReport report = co_await rpc_server->exited();
  if (report.cause != engine::ExitCause::asked) fail(report.error);
}

Result<engine::MasterArguments> EngineRole::Inner::open_tunnels() {
  engine::MasterArguments arguments;
  arguments.model = assignment.model_path;
  arguments.alias = assignment.model_name;
  arguments.layers = assignment.layers;
  arguments.context = assignment.context;
  arguments.parallel = assignment.parallel;
  arguments.threads = assignment.threads;
  arguments.ubatch = assignment.micro_batch;
  arguments.kv_type = assignment.kv_type;
  arguments.guesses = {assignment.lookup, assignment.draft};
  if (assignment.head_on_last_worker) arguments.head = engine::HeadPlacement::last_worker;
  for (const cluster::WorkerEndpoint& worker : assignment.workers) {
    auto tunnel = open_tunnel(worker);
    if (!tunnel) return with_context(tunnel.error(), "tunnel to " + worker.device);
    if (worker.is_plain) (*tunnel)->watch([this, name = worker.device]() { plain_worker_lost(name); });
    arguments.workers.push_back({"127.0.0.1", (*tunnel)->local_port()});
    tunnels.push_back({worker.device, worker.weights, std::move(*tunnel)});
  }
  return arguments;
}

/// The stages: this device's own layers, when it has any, then the workers.
Result<void> EngineRole::Inner::add_fabric(engine::MasterArguments& arguments) {
  const auto files = engine::locate_fabric();
  if (!files) return with_context(files.error(), "the fast data path");
  const auto weights = engine::fabric_weights();
  if (!weights) return weights.error();
  std::vector<engine::FabricStage> stages;
  if (fabric_worker) {
    stages.push_back({"this device", fabric_worker->address(), "", fabric_worker->key(), assignment.threads});
  }
  for (std::size_t i = 0; i < assignment.workers.size(); ++i) {
    const cluster::WorkerEndpoint& worker = assignment.workers[i];
    const engine::TcpAddress& tunnel = arguments.workers[i];
    // The first worker is reached from here, by the master's own stage too.
    const std::string peer = i == 0 ? engine::to_string(engine::HttpAddress(tunnel)) : worker.peer;
    stages.push_back({worker.device, tunnel, stages.empty() ? "" : peer, worker.key, 0});
  }
  // Stages work on different parts of a prompt at once, when it comes in parts.
  if (arguments.ubatch == 0) arguments.ubatch = engine::kFabricMicroBatch;
  const fs::path plan = log.parent_path() / "fabric-plan.json";
  if (auto made = make_empty_trace_folder(log.parent_path()); !made) return made.error();
  const std::string text = engine::fabric_plan(stages, arguments.head, assignment.wire, arguments.model,
                                               weights->manifests(), trace_folder(log.parent_path()));
  if (auto written = write_file_atomically(plan, text); !written) return written.error();
  arguments.fabric = engine::FabricUse{files->module, plan};
  return {};
}

asio::awaitable<void> EngineRole::Inner::run_master() {
  if (uses_fabric() && assignment.layers.front() > 0) {
    const auto started = co_await start_fabric_worker();
    if (!started) co_return fail(started.error());
  }
  auto arguments = open_tunnels();
  if (!arguments) co_return fail(arguments.error());
  if (uses_fabric()) {
    if (auto added = add_fabric(*arguments); !added) co_return fail(added.error());
  }
  auto started =
      engine::LlamaServer::start(executor, engine, *arguments, log, [this](engine::LoadStep) { changed(); });
  if (!started) co_return fail(started.error());
  llama_server = std::move(*started);
  become(cluster::Phase::loading);
  const auto address = co_await llama_server->ready();
  if (!address) co_return fail(address.error());
  backend = *address;
  become(cluster::Phase::ready);
  co_await (serve() || watch_fabric());
}

asio::awaitable<void> EngineRole::Inner::serve() {
  const engine::ExitReport report = co_await llama_server->exited();
  backend.reset();
  if (report.cause != engine::ExitCause::asked) fail(report.error);
}

/// llama-server goes on when a stage has failed, and answers nothing any more. Why this device's own worker
/// has ended says more than that it did.
asio::awaitable<void> EngineRole::Inner::watch_fabric() {
  Error failure = co_await llama_server->fabric_failed();
  backend.reset();
  if (fabric_worker) {
    asio::steady_timer patience(executor, kExitNews);
    auto first =
        co_await (fabric_worker->exited() || patience.async_wait(asio::as_tuple(asio::use_awaitable)));
    if (first.index() == 0) failure = std::get<0>(first).error;
  }
  fail(std::move(failure));
}

asio::awaitable<void> EngineRole::stop() {
  inner_->backend.reset();
  if (inner_->llama_server) co_await inner_->llama_server->stop(kStopGrace);
  if (inner_->rpc_server) co_await inner_->rpc_server->stop(kStopGrace);
  if (inner_->fabric_worker) co_await inner_->fabric_worker->stop(kStopGrace);
  inner_->hand_off.reset();
  inner_->tunnels.clear();
  if (inner_->uses_fabric() && inner_->assignment.role == cluster::Role::master)
    remove_trace_folder(inner_->log.parent_path());
}

double EngineRole::Inner::progress() const {
  if (phase == cluster::Phase::ready) return 1;
  Bytes expected;
  Bytes sent;
  for (const NamedTunnel& entry : tunnels) {
    expected += entry.weights;
    sent += std::min(entry.tunnel->counters().sent, entry.weights);
  }
  if (expected.count == 0) return 0;
  return kWeightsPart * static_cast<double>(sent.count) / static_cast<double>(expected.count);
}

void EngineRole::describe(cluster::NodeState& state) const {
  const Inner& inner = *inner_;
  state.order = inner.assignment.order;
  state.role = inner.assignment.role;
  state.phase = inner.phase;
  state.error = inner.error;
  state.progress = inner.progress();
  state.engine_log = inner.log.string();
  state.model = inner.assignment.model_name;
  for (const NamedTunnel& entry : inner.tunnels) {
    const link::TunnelCounters counters = entry.tunnel->counters();
    state.traffic.push_back({entry.device, counters.sent, counters.received});
  }
  if (inner.rpc_server) {
    state.rpc_port = inner.rpc_server->address().port;
    state.engine_pids.push_back(inner.rpc_server->pid());
  }
  if (inner.fabric_worker) {
    state.engine_pids.push_back(inner.fabric_worker->pid());
    if (inner.assignment.role == cluster::Role::worker) {
      state.rpc_port = inner.fabric_worker->address().port;
      state.worker_key = inner.fabric_worker->key();
    }
  }
  if (inner.hand_off) state.hand_off_port = inner.hand_off->local_port();
  if (!inner.llama_server) return;
  state.engine_pids.push_back(inner.llama_server->pid());
  if (inner.phase != cluster::Phase::ready) return;
  for (const engine::ObservedRank& rank : inner.llama_server->observed()) {
    state.observed.push_back({rank.rank, rank.layers, rank.weights});
  }
}

const engine::HttpAddress* EngineRole::backend() const {
  return inner_->backend ? &*inner_->backend : nullptr;
}

const cluster::Assignment& EngineRole::assignment() const { return inner_->assignment; }

}  // namespace caravan::app
