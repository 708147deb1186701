#include "app/node.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <system_error>
#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>

#include "app/control_api.h"
#include "app/engine_role.h"
#include "device/cores.h"
#include "engine/change.h"
#include "gateway/http_server.h"
#include "gateway/openai_api.h"

namespace caravan::app {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

void remove_state(const NodeOptions& options) {
  if (!options.ephemeral) return;
  std::error_code ignored;  // what cannot be removed now is the system's temporary folder's business
  fs::remove_all(options.state_folder, ignored);
  fs::remove(options.state_folder.parent_path(), ignored);  // the last of several nodes finds it empty
}

}  // namespace

struct Node::Inner {
  Inner(asio::any_io_executor loop, NodeOptions chosen, engine::EngineFacts facts)
      : executor(loop), options(std::move(chosen)), engine(std::move(facts)), change(loop) {}

  Result<void> listen();
  cluster::NodeState state() const;
  gateway::ReplicaView own_replica() const;
  Result<TraceTarget> what_to_trace() const;
  gateway::Replicas replicas();
  Result<void> join_cluster();
  void stop();
  Result<std::unique_ptr<link::Tunnel>> tunnel_to(const cluster::WorkerEndpoint& worker);
  Result<void> assign(cluster::Assignment assignment);
  asio::awaitable<void> follow();

  asio::any_io_executor executor;
  NodeOptions options;
  engine::EngineFacts engine;
  int cores = std::max(1, static_cast<int>(device::read_cores().allowed.size()));
  engine::Change change;
  std::optional<cluster::Assignment> wanted;
  std::unique_ptr<EngineRole> role;
  bool role_stopping = false;
  bool stopped = false;
  std::int64_t created = 0;
  TraceDesk trace_desk{[this]() { return what_to_trace(); },
                       [this](const TraceTarget& target, const std::string& recording) {
                         if (cluster) cluster->traced(target.model, recording);
                       }};
  ControlPort control_port;
  std::unique_ptr<ClusterSide> cluster;  ///< null without one
  std::unique_ptr<gateway::OpenAiApi> api;
  std::unique_ptr<gateway::HttpServer> control_server;
  std::unique_ptr<gateway::HttpServer> api_server;
};

fs::path control_socket(const fs::path& state_folder) { return state_folder / "node.sock"; }

Result<void> Node::Inner::listen() {
  control_port = {[this]() { return state(); },
                  [this](cluster::Assignment assignment) { return assign(std::move(assignment)); },
                  [this]() { stop(); },
                  &change,
                  nullptr,
                  &trace_desk};
  auto control =
      gateway::HttpServer::listen(executor, engine::UnixAddress{control_socket(options.state_folder)}, {},
                                  [this](gateway::Request request, gateway::Responder& responder) {
                                    return handle_control(control_port, std::move(request), responder);
                                  });
  if (!control) return control.error();
  control_server = std::move(*control);

  api = std::make_unique<gateway::OpenAiApi>(replicas(), gateway::OpenAiApi::Options{});
  auto listening = gateway::HttpServer::listen(
      executor, options.api, {}, [this](gateway::Request request, gateway::Responder& responder) {
        return api->handle(std::move(request), responder);
      });
  if (!listening) return listening.error();
  api_server = std::move(*listening);
  return {};
}

/// Those of the cluster; without one, that of this node, whatever name a client gives it.
gateway::Replicas Node::Inner::replicas() {
  gateway::Replicas replicas;
  replicas.choose = [this](const gateway::ReplicaQuery& query) {
    return cluster ? cluster->replica(query, own_replica()) : own_replica();
  };
  replicas.models = [this]() {
    if (cluster) return cluster->models();
    const std::string own = own_replica().model;
    return own.empty() ? std::vector<std::string>() : std::vector{own};
  };
  return replicas;
}

/// The link port, and everything that is said through it.
Result<void> Node::Inner::join_cluster() {
  if (!options.cluster) return {};
  ClusterOptions chosen = *options.cluster;
  chosen.mesh.engine_build = engine.source_id;
  chosen.build_id = engine.build_id;
  NodePort port;
  port.state = [this]() { return state(); };
  port.assign = [this](cluster::Assignment assignment) { return assign(std::move(assignment)); };
  port.backend_port = [this]() -> std::optional<std::uint16_t> {
    const engine::HttpAddress* backend = role && !role_stopping ? role->backend() : nullptr;
    const auto* address = backend == nullptr ? nullptr : std::get_if<engine::TcpAddress>(backend);
    return address == nullptr ? std::nullopt : std::optional(address->port);
  };
  port.change = &change;
  auto opened = ClusterSide::open(executor, std::move(chosen), std::move(port));
  if (!opened) return opened.error();
  cluster = std::move(*opened);
  control_port.cluster = cluster.get();
  return {};
}

void Node::Inner::stop() {
  stopped = true;
  if (cluster) cluster->stop();
  change.notify();
}

/// Through the link where there is one; without, all nodes are on this machine.
Result<std::unique_ptr<link::Tunnel>> Node::Inner::tunnel_to(const cluster::WorkerEndpoint& worker) {
  return cluster ? cluster->tunnel_to(worker) : link::Tunnel::open(executor, worker.host, worker.port);
}

cluster::NodeState Node::Inner::state() const {
  cluster::NodeState state;
  state.device = options.device;
  state.pid = ::getpid();
  state.memory = options.memory;
  state.cores = cores;
  state.api = "http://" + engine::to_string(api_server->address());
  state.engine_build = engine.source_id;
  state.busy = api ? static_cast<int>(api->in_flight()) : 0;
  if (api) state.answering = api->answering();
  if (role) role->describe(state);
  if (state.error) state.error = with_context(*state.error, options.device);
  if (role_stopping) state.phase = cluster::Phase::stopping;
  if (!role && wanted) state.order = wanted->order;
  return state;
}

gateway::ReplicaView Node::Inner::own_replica() const {
  gateway::ReplicaView view;
  view.created = created;
  if (!role || role_stopping || role->assignment().role != cluster::Role::master) {
    view.message = options.device + " serves no model now";
    view.hint = "ask the cluster's master, or start a model";
    return view;
  }
  cluster::NodeState now;
  role->describe(now);
  view.model = role->assignment().model_name;
  view.progress = now.progress;
  if (const engine::HttpAddress* backend = role->backend()) {
    view.phase = gateway::ReplicaView::Phase::ready;
    view.backend = *backend;
  } else if (now.error) {
    view.phase = gateway::ReplicaView::Phase::failed;
    view.message = now.error->message;
    view.hint = now.error->hint;
  } else {
    view.phase = gateway::ReplicaView::Phase::loading;
  }
  return view;
}

Result<TraceTarget> Node::Inner::what_to_trace() const {
  const cluster::Assignment* const assignment = role ? &role->assignment() : nullptr;
  const bool is_elsewhere = assignment == nullptr || assignment->role != cluster::Role::master;
  const Json view = cluster && is_elsewhere ? cluster->view() : Json();  // tells where it is
  return trace_target(state(), assignment, options.state_folder, view);
}

/// The newest order counts; an older one comes from a controller that was replaced. The same one again
/// changes nothing.
Result<void> Node::Inner::assign(cluster::Assignment assignment) {
  if (wanted && assignment.order < wanted->order) {
    return Error{Code::incompatible,
                 fmt::format("order {}.{} is older than {}.{}", assignment.order.epoch,
                             assignment.order.generation, wanted->order.epoch, wanted->order.generation),
                 "another controller has taken over"};
  }
  if (wanted && assignment.order == wanted->order) return {};
  wanted = std::move(assignment);
  change.notify();
  return {};
}

/// Desired against actual: ends what runs when something newer is wanted, and starts that.
asio::awaitable<void> Node::Inner::follow() {
  while (!stopped) {
    const std::uint64_t seen = change.count();
    const bool outdated = role && wanted && role->assignment().order != wanted->order;
    if (outdated) {
      role_stopping = true;
      change.notify();
      co_await role->stop();
      role_stopping = false;
      role.reset();
      change.notify();
    } else if (!role && wanted && wanted->role != cluster::Role::idle) {
      created = static_cast<std::int64_t>(std::time(nullptr));
      const std::string program = wanted->role == cluster::Role::master ? "llama-server" : "rpc-server";
      role = std::make_unique<EngineRole>(
          executor, engine, options.state_folder / (program + ".log"), *wanted,
          [this](const auto& worker) { return tunnel_to(worker); }, [this]() { change.notify(); });
      const auto another = [this]() -> asio::awaitable<void> {
        const cluster::Order order = role->assignment().order;
        while (!stopped && wanted->order == order) co_await change.past(change.count());
      };
      co_await (role->run() || another());
      // A role that failed keeps its error in the state until something else is wanted.
      while (!stopped && wanted->order == role->assignment().order) co_await change.past(change.count());
    } else {
      co_await change.past(seen);
    }
  }
  if (role) co_await role->stop();
}

asio::awaitable<Result<std::unique_ptr<Node>>> Node::start(asio::any_io_executor executor,
                                                           NodeOptions options) {
  if (auto made = make_private_folder(options.state_folder); !made) co_return made.error();
  asio::thread_pool background(1);
  engine::EnginePlaces places = engine::engine_places(options.engine);
  auto facts = co_await engine::find_engine(executor, background.get_executor(), std::move(places));
  if (!facts) {
    remove_state(options);
    co_return facts.error();
  }
  auto inner = std::make_shared<Inner>(executor, options, std::move(*facts));
  auto listening = inner->listen();
  if (listening) listening = inner->join_cluster();
  if (!listening) {
    inner->control_server.reset();
    remove_state(options);
    co_return listening.error();
  }
  co_return std::unique_ptr<Node>(new Node(std::move(inner)));
}

Node::Node(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

Node::~Node() = default;

asio::awaitable<void> Node::run() {
  const auto inner = inner_;
  if (inner->cluster) {
    co_await (inner->follow() && inner->cluster->run());
  } else {
    co_await inner->follow();
  }
  co_await inner->api_server->stop();
  co_await inner->control_server->stop();
  inner->control_server.reset();
  remove_state(inner->options);
}

void Node::stop() { inner_->stop(); }

std::string Node::api_url() const { return "http://" + engine::to_string(inner_->api_server->address()); }

}  // namespace caravan::app
