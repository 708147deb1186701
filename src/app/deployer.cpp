#include "app/deployer.h"

#include <deque>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "model/shards.h"
#include "plan/planner.h"

namespace caravan::app {

namespace asio = boost::asio;
using cluster::Conductor;

namespace {

/// Of a link whose bandwidth nobody has measured: by its round trip it is a cable, or Wi-Fi. docs/planner.md.
constexpr double kCableRoundTrip = 0.001;
constexpr double kCableBandwidth = 100e6;
constexpr double kAirBandwidth = 20e6;

plan::Link link_of(double round_trip, std::optional<double> bandwidth) {
  return {round_trip, bandwidth.value_or(round_trip < kCableRoundTrip ? kCableBandwidth : kAirBandwidth)};
}

struct PlanTask {
  fs::path model;
  cluster::Wish wish;
  plan::Cluster devices;
  std::vector<std::string> holders;
};

Result<std::vector<plan::Plan>> make_plan(const PlanTask& task) {
  const auto facts = model::read_model_facts(task.model);
  if (!facts) return facts.error();
  plan::Wishes wishes;
  wishes.objective = task.wish.objective;
  wishes.context = task.wish.context;
  wishes.parallel = task.wish.parallel;
  wishes.use = task.wish.use;
  wishes.avoid = task.wish.avoid;
  wishes.keep_free = task.wish.keep_free;
  wishes.masters = task.holders;
  // Wishes name devices that may be away: that must not stop the others.
  const auto is_away = [&task](const std::string& name) {
    const auto& all = task.devices.devices;
    return std::none_of(all.begin(), all.end(), [&](const auto& device) { return device.name == name; });
  };
  std::erase_if(wishes.use, is_away);
  std::erase_if(wishes.avoid, is_away);
  auto proposal = plan::propose(*facts, task.devices, wishes);
  if (!proposal) return proposal.error();
  return std::move(proposal->replicas);
}

Json describe(const plan::Plan& plan, const std::function<std::string(const std::string&)>& with_names) {
  Json shares = Json::array();
  for (const plan::Share& share : plan.shares) {
    shares.push_back({{"device", share.device},
                      {"name", with_names(share.device)},
                      {"rank", share.rank},
                      {"first_layer", share.first_layer},
                      {"layers", share.layer_count},
                      {"memory", share.total().count},
                      {"reason", with_names(share.reason)}});
  }
  return {{"shares", std::move(shares)},
          {"context", plan.context},
          {"parallel", plan.parallel},
          {"predicted",
           {{"decode", plan.predicted.decode},
            {"prefill", plan.predicted.prefill},
            {"first_token", plan.predicted.first_token},
            {"load", plan.predicted.load}}}};
}

}  // namespace

struct Deployer::Inner : std::enable_shared_from_this<Deployer::Inner> {
  Inner(asio::any_io_executor loop, asio::any_io_executor workers, std::string id, fs::path file,
        cluster::Desired desired, DeployerPort around)
      : executor(loop),
        pool(workers),
        self(std::move(id)),
        record(std::move(file)),
        port(std::move(around)),
        conductor(self, std::move(desired), Clock::now()),
        wake(loop) {}

  void act(cluster::ConductorAction action);
  void act(const cluster::Remember& action);
  void act(cluster::MakePlan action);
  void act(cluster::Assign action);
  void act(const cluster::Told& action) { port.told(port.with_names(action.text)); }
  void tell_deployment();
  Json own_deployment() const;
  plan::Cluster devices_of(const std::vector<std::string>& ids) const;

  asio::any_io_executor executor;
  asio::any_io_executor pool;
  std::string self;
  fs::path record;
  DeployerPort port;
  Conductor conductor;
  asio::steady_timer wake;
  std::deque<cluster::ConductorEvent> events;
  std::map<std::string, cluster::NodeCard> cards;
  std::map<std::string, std::map<std::string, double>> round_trips;
  Json told;  ///< the deployment as it was told last
  Json heard_deployment;
  std::string heard_from;
  bool stopped = false;
};

void Deployer::Inner::act(cluster::ConductorAction action) {
  std::visit([this](auto&& typed) { act(std::forward<decltype(typed)>(typed)); }, std::move(action));
}

/// On the disk before anybody hears of it: after a restart this device must not fall behind its own word.
void Deployer::Inner::act(const cluster::Remember& action) {
  if (auto saved = cluster::save_desired(record, action.desired); !saved)
    port.told(fmt::format("cannot keep the deployment: {}", saved.error().message));
  port.broadcast(kDesiredMessage, to_json(action.desired));
}

void Deployer::Inner::act(cluster::MakePlan action) {
  auto path = port.path_of(action.wish.file);
  if (!path) {
    events.emplace_back(cluster::Planned{action.number, path.error()});
    wake.cancel();
    return;
  }
  PlanTask task{std::move(*path), std::move(action.wish), devices_of(action.devices),
                std::move(action.holders)};
  asio::post(pool, [self = shared_from_this(), number = action.number, task = std::move(task)]() {
    auto replicas = make_plan(task);
    asio::post(self->executor, [self, number, replicas = std::move(replicas)]() mutable {
      self->events.emplace_back(cluster::Planned{number, std::move(replicas)});
      self->wake.cancel();
    });
  });
}

void Deployer::Inner::act(cluster::Assign action) {
  if (action.device != self) {
    port.send(action.device, kAssignMessage, to_json(action.assignment));
  } else if (auto accepted = port.assign_here(std::move(action.assignment)); !accepted) {
    port.told(accepted.error().message);
  }
}

plan::Cluster Deployer::Inner::devices_of(const std::vector<std::string>& ids) const {
  plan::Cluster cluster;
  for (const std::string& id : ids) {
    const auto card = cards.find(id);
    if (card == cards.end() || !card->second.profile) continue;
    cluster.devices.push_back(*card->second.profile);
    cluster.devices.back().name = id;
  }
  const auto known = [this](const std::string& from, const std::string& to) -> std::optional<double> {
    if (from == self) return port.round_trip(to);
    const auto row = round_trips.find(from);
    if (row == round_trips.end()) return std::nullopt;
    const auto cell = row->second.find(to);
    return cell == row->second.end() ? std::nullopt : std::optional(cell->second);
  };
  for (const std::string& a : ids) {
    for (const std::string& b : ids) {
      if (a >= b) continue;
      auto measured = known(a, b);
      if (!measured) measured = known(b, a);
      cluster.links[{a, b}] =
          measured ? std::optional(link_of(*measured, port.bandwidth(a, b))) : std::nullopt;
    }
  }
  return cluster;
}

Json Deployer::Inner::own_deployment() const {
  const cluster::Desired& desired = conductor.desired();
  Json value{
      {"stage", name_of(conductor.stage())}, {"controller", desired.controller}, {"epoch", desired.epoch}};
  if (desired.wish) value["model"] = desired.wish->model;
  if (conductor.error()) {
    Error error = *conductor.error();
    error.message = port.with_names(error.message);
    value["error"] = caravan::to_json(error);
  }
  value["replicas"] = Json::array();
  for (const plan::Plan* plan : conductor.plans())
    value["replicas"].push_back(describe(*plan, port.with_names));
  return value;
}

void Deployer::Inner::tell_deployment() {
  Json now = own_deployment();
  if (now == told) return;
  told = std::move(now);
  if (conductor.controls()) port.broadcast(kDeploymentMessage, told);
  port.changed();
}

Deployer::Deployer(asio::any_io_executor executor, asio::any_io_executor pool, std::string self,
                   fs::path record, cluster::Desired desired, DeployerPort port)
    : inner_(std::make_shared<Inner>(executor, pool, std::move(self), std::move(record), std::move(desired),
                                     std::move(port))) {}

Deployer::~Deployer() { stop(); }

void Deployer::post(cluster::ConductorEvent event) {
  if (const auto* card = std::get_if<cluster::CardHeard>(&event)) inner_->cards[card->device] = card->card;
  if (const auto* linked = std::get_if<cluster::PeerLinked>(&event)) {
    inner_->port.send(linked->device, kDesiredMessage, to_json(desired()));
    if (inner_->conductor.controls()) inner_->port.send(linked->device, kDeploymentMessage, inner_->told);
  }
  if (const auto* lost = std::get_if<cluster::PeerLost>(&event)) {
    inner_->cards.erase(lost->device);
    inner_->round_trips.erase(lost->device);
  }
  inner_->events.push_back(std::move(event));
  inner_->wake.cancel();
}

void Deployer::heard_round_trips(const std::string& device, std::map<std::string, double> seconds) {
  inner_->round_trips[device] = std::move(seconds);
}

void Deployer::heard_deployment(const std::string& device, Json deployment) {
  inner_->heard_from = device;
  inner_->heard_deployment = std::move(deployment);
  inner_->port.changed();
}

asio::awaitable<void> Deployer::run() {
  const auto inner = inner_;
  inner->events.emplace_back(cluster::Tick{});
  while (!inner->stopped) {
    while (!inner->events.empty() && !inner->stopped) {
      const cluster::ConductorEvent event = std::move(inner->events.front());
      inner->events.pop_front();
      for (cluster::ConductorAction& action : inner->conductor.on(event, Clock::now()))
        inner->act(std::move(action));
      inner->tell_deployment();
    }
    if (inner->stopped) break;
    inner->wake.expires_at(inner->conductor.next_deadline().value_or(TimePoint::max()));
    auto [failure] = co_await inner->wake.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!failure) inner->events.emplace_back(cluster::Tick{});
  }
}

void Deployer::stop() {
  inner_->stopped = true;
  inner_->wake.cancel();
}

const cluster::Desired& Deployer::desired() const { return inner_->conductor.desired(); }

Conductor::Stage Deployer::stage() const { return inner_->conductor.stage(); }

Json Deployer::deployment() const {
  const bool is_told = inner_->heard_from == desired().controller && !inner_->conductor.controls();
  return is_told ? inner_->heard_deployment : inner_->own_deployment();
}

}  // namespace caravan::app
