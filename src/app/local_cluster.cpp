#include "app/local_cluster.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>

#include "app/node.h"
#include "app/node_client.h"
#include "base/json.h"
#include "base/spawn.h"
#include "base/text.h"
#include "cluster/driver.h"
#include "engine/change.h"
#include "engine/pause.h"
#include "engine/process.h"

namespace caravan::app {

using engine::pause_for;

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::seconds kStartTime{20};
constexpr std::chrono::milliseconds kStopTime{3000};
constexpr std::chrono::milliseconds kExitNewsTime{500};
constexpr std::uint16_t kDefaultApiPort = 8080;

/// One node's process and what is known of it.
struct NodeProcess {
  plan::DeviceOffer offer;
  fs::path state_folder;
  std::unique_ptr<engine::Process> process;
  bool ready = false;
  std::optional<Error> failure;  ///< said by the node itself, or how it ended
  std::string last_line;         ///< of its output, when it was no event
};

bool port_is_free(asio::any_io_executor executor, std::uint16_t port) {
  boost::system::error_code failure;
  asio::ip::tcp::acceptor probe(executor);
  probe.open(asio::ip::tcp::v4(), failure);
  probe.set_option(asio::socket_base::reuse_address(true), failure);
  probe.bind({asio::ip::address_v4::loopback(), port}, failure);
  return !failure;
}

}  // namespace

struct LocalCluster::Inner : std::enable_shared_from_this<LocalCluster::Inner>, cluster::NodePort {
  Inner(asio::any_io_executor loop, LocalClusterOptions chosen, LocalClusterEvents observer)
      : executor(loop), options(std::move(chosen)), events(std::move(observer)), change(loop) {}

  Result<void> start_process(NodeProcess& node, std::uint16_t api_port);
  void take_line(NodeProcess& node, std::string_view line);
  static asio::awaitable<void> await_exit(std::shared_ptr<Inner> self, NodeProcess& node);
  static asio::awaitable<void> watch(std::shared_ptr<Inner> self, NodeProcess& node);
  asio::awaitable<Result<void>> await_all_ready();
  asio::awaitable<Result<void>> assign(std::string device, cluster::Assignment assignment) override;
  asio::awaitable<Error> why(std::string device, Error failure) const;
  const NodeProcess* node_of(const std::string& device) const;
  Result<NodeClient> client_of(const std::string& device) const;
  void kill_all();

  asio::any_io_executor executor;
  LocalClusterOptions options;
  LocalClusterEvents events;
  engine::Change change;
  std::optional<TemporaryFolder> folder;
  std::vector<std::unique_ptr<NodeProcess>> nodes;
  std::shared_ptr<cluster::Driver> driver;
  bool stopping = false;
  cluster::Order next_order{1, 1};
};

Result<void> LocalCluster::Inner::start_process(NodeProcess& node, std::uint16_t api_port) {
  SpawnSpec spec;
  spec.program = options.program;
  spec.arguments = {"node",
                    "--device",
                    node.offer.name,
                    "--state",
                    node.state_folder.string(),
                    "--memory",
                    std::to_string(node.offer.memory.count),
                    "--port",
                    std::to_string(api_port),
                    "--ephemeral",
                    "--announce",
                    "--lifeline"};
  if (!options.engine.empty()) spec.arguments.insert(spec.arguments.end(), {"--engine", options.engine});
  spec.lifeline = true;
  auto process =
      engine::Process::start(executor, spec, [weak = weak_from_this(), &node](std::string_view line) {
        if (const auto self = weak.lock()) self->take_line(node, line);
      });
  if (!process) return with_context(process.error(), "starting the node of " + node.offer.name);
  node.process = std::move(*process);
  asio::co_spawn(executor, await_exit(shared_from_this(), node), asio::detached);
  return {};
}

/// A node that was started with --announce says one line of JSON when it is up, or why it is not.
void LocalCluster::Inner::take_line(NodeProcess& node, std::string_view line) {
  const auto json = parse_json(line, cluster::kMaxMessageBytes);
  if (!json || !json->is_object()) {
    node.last_line = printable(line);
    return;
  }
  Fields fields(*json, "announcement");
  if (fields.text_or("event", "") == "ready") node.ready = true;
  if (const Json* error = fields.object_or_none("error")) node.failure = error_from_json(*error);
  change.notify();
}

asio::awaitable<void> LocalCluster::Inner::await_exit(std::shared_ptr<Inner> self, NodeProcess& node) {
  const pid_t pid = node.process->pid();
  const engine::ExitStatus status = co_await node.process->wait();
  if (self->stopping) co_return;
  if (!node.failure) {
    const std::string said = node.last_line.empty() ? "" : fmt::format("; it said: {}", node.last_line);
    node.failure =
        Error{Code::unavailable,
              fmt::format("the node of {} (process {}) {}{}", node.offer.name, pid, describe(status), said),
              "start again; if it was killed for want of memory, give it a smaller --memory"};
  }
  if (self->driver) self->driver->post(cluster::NodeGone{node.offer.name, *node.failure});
  self->change.notify();
}

/// What to say of a call to a node that failed. A cut most often means that its process has died: how it
/// ended says more, so that gets a moment to be heard first.
asio::awaitable<Error> LocalCluster::Inner::why(std::string device, Error failure) const {
  const NodeProcess* node = node_of(device);
  if (node != nullptr && !node->failure && !stopping) co_await pause_for(kExitNewsTime);
  if (node != nullptr && node->failure) co_return *node->failure;
  co_return with_context(std::move(failure), device);
}

/// Passes on what the node reports.
asio::awaitable<void> LocalCluster::Inner::watch(std::shared_ptr<Inner> self, NodeProcess& node) {
  const NodeClient client(control_socket(node.state_folder));
  std::function<void(cluster::NodeState)> take = [&self](cluster::NodeState state) {
    if (self->events.on_state) self->events.on_state(state);
    if (self->driver) self->driver->post(cluster::StateReported{std::move(state)});
  };
  Error ended = co_await client.watch(std::move(take));
  if (self->stopping) co_return;
  Error reason = co_await self->why(node.offer.name, std::move(ended));
  if (!self->stopping && self->driver) {
    self->driver->post(cluster::NodeGone{node.offer.name, std::move(reason)});
  }
}

asio::awaitable<Result<void>> LocalCluster::Inner::await_all_ready() {
  for (;;) {
    const std::uint64_t seen = change.count();
    for (const auto& node : nodes) {
      if (node->failure) co_return *node->failure;
    }
    if (std::all_of(nodes.begin(), nodes.end(), [](const auto& node) { return node->ready; }))
      co_return Result<void>{};
    co_await change.past(seen);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
      co_return Error{Code::interrupted, "interrupted", ""};
    }
  }
}

const NodeProcess* LocalCluster::Inner::node_of(const std::string& device) const {
  const auto node =
      std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n->offer.name == device; });
  return node == nodes.end() ? nullptr : node->get();
}

Result<NodeClient> LocalCluster::Inner::client_of(const std::string& device) const {
  const NodeProcess* node = node_of(device);
  if (node == nullptr) return Error{Code::bug, "no node called " + device, ""};
  return NodeClient(control_socket(node->state_folder));
}

asio::awaitable<Result<void>> LocalCluster::Inner::assign(std::string device,
                                                          cluster::Assignment assignment) {
  const auto client = client_of(device);
  if (!client) co_return client.error();
  auto accepted = co_await client->assign(std::move(assignment));
  if (!accepted) co_return co_await why(std::move(device), accepted.error());
  co_return Result<void>{};
}

void LocalCluster::Inner::kill_all() {
  stopping = true;
  for (const auto& node : nodes) node->process.reset();
  driver.reset();  // it holds this as its port
}

LocalCluster::LocalCluster(asio::any_io_executor executor, LocalClusterOptions options,
                           LocalClusterEvents events)
    : inner_(std::make_shared<Inner>(executor, std::move(options), std::move(events))) {}

LocalCluster::~LocalCluster() { inner_->kill_all(); }

asio::awaitable<Result<std::vector<cluster::NodeState>>> LocalCluster::start() {
  Inner& inner = *inner_;
  // The nodes make it, and each cleans up behind itself: so nothing is left when we are killed at this very
  // moment.
  inner.folder.emplace(TemporaryFolder::promise("caravan"));
  const std::size_t master = plan::choose_master(inner.options.devices);
  const std::uint16_t free_default = port_is_free(inner.executor, kDefaultApiPort) ? kDefaultApiPort : 0;
  for (std::size_t i = 0; i < inner.options.devices.size(); ++i) {
    auto node = std::make_unique<NodeProcess>();
    node->offer = inner.options.devices[i];
    node->state_folder = inner.folder->path() / node->offer.name;
    inner.nodes.push_back(std::move(node));
    const std::uint16_t port = i == master ? inner.options.api_port.value_or(free_default) : 0;
    if (auto started = inner.start_process(*inner.nodes.back(), port); !started) co_return started.error();
  }
  auto ready = co_await (inner.await_all_ready() || pause_for(kStartTime));
  if (ready.index() == 1)
    co_return Error{Code::unavailable, "a node did not start in time", "is this machine overloaded?"};
  if (const auto& all = std::get<0>(ready); !all) co_return all.error();
  std::vector<cluster::NodeState> states;
  for (const auto& node : inner.nodes) {
    auto state = co_await NodeClient(control_socket(node->state_folder)).state();
    if (!state) co_return co_await inner.why(node->offer.name, state.error());
    states.push_back(std::move(*state));
  }
  co_return states;
}

asio::awaitable<std::optional<Error>> LocalCluster::run(cluster::Deployment deployment) {
  const auto inner = inner_;
  const bool is_first = inner->next_order == cluster::Order{1, 1};
  const cluster::Order order = inner->next_order;
  inner->next_order.generation += 2;  // what ends it has the one between
  inner->driver = std::make_shared<cluster::Driver>(
      inner->executor, cluster::Controller(std::move(deployment), order, Clock::now()), inner,
      [weak = std::weak_ptr<Inner>(inner)](const cluster::Serving& serving) {
        const auto self = weak.lock();
        if (self && self->events.on_serving) self->events.on_serving(serving);
      });
  for (const auto& node : inner->nodes) {
    if (node->failure) inner->driver->post(cluster::NodeGone{node->offer.name, *node->failure});
    if (is_first) asio::co_spawn(inner->executor, Inner::watch(inner, *node), asio::detached);
  }
  const auto driver = inner->driver;
  cluster::Ended ended = co_await driver->run();
  inner->driver.reset();
  co_return std::move(ended.error);
}

void LocalCluster::end_deployment() {
  if (inner_->driver) inner_->driver->post(cluster::StopAsked{});
}

bool LocalCluster::is_whole() const {
  return std::none_of(inner_->nodes.begin(), inner_->nodes.end(),
                      [](const auto& node) { return node->failure.has_value(); });
}

asio::awaitable<Result<cluster::NodeState>> LocalCluster::state_of(std::string device) const {
  const auto client = inner_->client_of(device);
  if (!client) co_return client.error();
  co_return co_await client->state();
}

asio::awaitable<void> LocalCluster::stop() {
  const auto inner = inner_;
  inner->stopping = true;
  for (const auto& node : inner->nodes) {
    if (node->process) node->process->signal_group(SIGTERM);
  }
  for (const auto& node : inner->nodes) {
    if (node->process) co_await node->process->stop(kStopTime);
  }
  inner->folder.reset();
}

const fs::path& LocalCluster::folder() const { return inner_->folder->path(); }

}  // namespace caravan::app
