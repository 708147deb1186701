#include "app/deployer.h"

#include <algorithm>
#include <deque>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "app/plain_workers.h"
#include "app/plan_maker.h"

namespace caravan::app {

namespace asio = boost::asio;
using cluster::Conductor;

namespace {

constexpr double kUsualRoundTrip = 0.005;  ///< seconds
constexpr double kMsInSecond = 1000;

Json describe(const plan::Plan& plan, const std::vector<cluster::PlainWorker>& plain,
              const std::map<std::string, std::string>& spared,
              const std::function<std::string(const std::string&)>& with_names) {
  Json shares = Json::array();
  for (const plan::Share& share : plan.shares) {
    Json told{{"device", share.device},
              {"name", with_names(share.device)},
              {"plain", find_plain(plain, share.device) != nullptr},
              {"rank", share.rank},
              {"first_layer", share.first_layer},
              {"layers", share.layer_count},
              {"memory", share.total().count},
              {"reason", with_names(share.reason)}};
    if (share.compute > 0) told["compute_ms"] = share.compute * kMsInSecond;
    if (share.hop > 0) told["hop_ms"] = share.hop * kMsInSecond;
    if (const auto why = spared.find(share.device); why != spared.end())
      told["spared"] = why->second + ", but the others cannot do without it, or hardly";
    shares.push_back(std::move(told));
  }
  Json told{{"shares", std::move(shares)},
            {"context", plan.context},
            {"parallel", plan.parallel},
            {"predicted",
             {{"decode", plan.predicted.decode},
              {"prefill", plan.predicted.prefill},
              {"first_token", plan.predicted.first_token},
              {"load", plan.predicted.load},
              {"load_again", plan.predicted.load_again},
              {"air_ms", plan.predicted.air * kMsInSecond}}}};
  if (plan.speculation.is_on()) {
    told["speculation"] = {{"lookup", plan.speculation.lookup},
                           {"draft", plan.speculation.draft},
                           {"repeating", plan.speculation.repeating}};
  }
  return told;
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
  void act(const cluster::HandOver& action) { port.send(action.device, kAskMessage, to_json(action.change)); }
  void act(cluster::MakePlan action);
  void act(cluster::Assign action);
  void act(const cluster::Told& action) { port.told(port.with_names(action.text)); }
  asio::awaitable<void> plan_with_plain_workers(cluster::PlanRequest request);
  void plan_somewhere(cluster::PlanRequest request);
  void plan(cluster::PlanRequest request, std::function<void(cluster::Planned)> then);
  void take(cluster::Planned planned);
  void tell_deployments();
  Json own_deployments() const;
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
  std::map<std::string, std::string> spared;      ///< why, by device: it should carry little
  std::map<std::uint64_t, std::string> planners;  ///< who was asked for the plan of that number
  Json told;                                      ///< the deployments as they were told last
  Json heard_deployments;
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
  cluster::PlanRequest request{action.number,
                               std::move(action.wish),
                               devices_of(action.devices),
                               std::move(action.holders),
                               std::move(action.fabric),
                               std::move(action.running),
                               std::move(action.slow)};
  if (request.wish.plain.empty()) return plan_somewhere(std::move(request));
  asio::co_spawn(
      executor,
      [self = shared_from_this(), request = std::move(request)]() mutable {
        return self->plan_with_plain_workers(std::move(request));
      },
      asio::detached);
}

/// Those that do not answer now are left out, so that the others serve meanwhile.
asio::awaitable<void> Deployer::Inner::plan_with_plain_workers(cluster::PlanRequest request) {
  const auto keep = shared_from_this();
  std::vector<std::string> busy;
  for (const cluster::DeploymentView& deployment : conductor.deployments()) {
    for (const plan::Plan* running : deployment.plans) {
      for (const plan::Share& share : running->shares) busy.push_back(share.device);
    }
  }
  std::vector<cluster::PlainWorker> asked = request.wish.plain;
  request.wish.plain = co_await answering_workers(executor, std::move(asked), std::move(busy));
  add_plain_workers(request.devices, request.wish.plain,
                    [](double round_trip) { return link_of(round_trip); });
  if (!stopped) plan_somewhere(std::move(request));
}

/// Where the file is: here, or on a device that has it; on another one of these when it is asked again.
void Deployer::Inner::plan_somewhere(cluster::PlanRequest request) {
  const auto& holders = request.holders;
  if (holders.empty() || std::find(holders.begin(), holders.end(), self) != holders.end())
    return plan(std::move(request), [this](cluster::Planned planned) { take(std::move(planned)); });
  const std::string& planner = holders[request.number % holders.size()];
  constexpr std::size_t kMostPlanners = 16;
  if (planners.size() >= kMostPlanners) planners.erase(planners.begin());
  planners[request.number] = planner;
  port.send(planner, kPlanWantedMessage, to_json(request));
}

/// `then` is called on the loop, once.
void Deployer::Inner::plan(cluster::PlanRequest request, std::function<void(cluster::Planned)> then) {
  auto path = port.path_of(request.wish.file);
  if (!path) return then({request.number, path.error(), {}});
  asio::post(pool, [self = shared_from_this(), path = std::move(*path), request = std::move(request),
                    then = std::move(then)]() {
    cluster::Planned planned = make_plan(path, request);
    asio::post(self->executor, [self, then, planned = std::move(planned)]() mutable {
      if (!self->stopped) then(std::move(planned));
    });
  });
}

void Deployer::Inner::take(cluster::Planned planned) {
  events.emplace_back(std::move(planned));
  wake.cancel();
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
  cluster.usual = link_of(kUsualRoundTrip);
  cluster.handling = port.handling();
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
  for (const plan::DeviceProfile& a : cluster.devices) {
    for (const plan::DeviceProfile& b : cluster.devices) {
      if (a.name >= b.name) continue;
      auto measured = known(a.name, b.name);
      if (!measured) measured = known(b.name, a.name);
      cluster.links[{a.name, b.name}] =
          measured ? std::optional(link_of(*measured, port.bandwidth(a.name, b.name))) : std::nullopt;
    }
  }
  return cluster;
}

Json Deployer::Inner::own_deployments() const {
  Json all = Json::array();
  for (const cluster::DeploymentView& view : conductor.deployments()) {
    Json one{{"model", view.model}, {"stage", name_of(view.stage)}, {"replicas", Json::array()}};
    if (!view.plans.empty()) one["data_path"] = name_of(view.data_path);
    if (view.error) {
      Error error = *view.error;
      error.message = port.with_names(error.message);
      one["error"] = caravan::to_json(error);
    }
    const cluster::Wish* wish = conductor.desired().find(view.model);
    const auto plain = wish == nullptr ? std::vector<cluster::PlainWorker>() : wish->plain;
    for (const plan::Plan* plan : view.plans)
      one["replicas"].push_back(describe(*plan, plain, spared, port.with_names));
    all.push_back(std::move(one));
  }
  const cluster::Desired& desired = conductor.desired();
  return {{"controller", desired.controller}, {"epoch", desired.epoch}, {"deployments", std::move(all)}};
}

void Deployer::Inner::tell_deployments() {
  Json now = own_deployments();
  if (now == told) return;
  told = std::move(now);
  if (conductor.controls()) port.broadcast(kDeploymentsMessage, told);
  port.changed();
}

Deployer::Deployer(asio::any_io_executor executor, asio::any_io_executor pool, std::string self,
                   fs::path record, cluster::Desired desired, DeployerPort port)
    : inner_(std::make_shared<Inner>(executor, pool, std::move(self), std::move(record), std::move(desired),
                                     std::move(port))) {}

Deployer::~Deployer() { stop(); }

void Deployer::post(cluster::ConductorEvent event) {
  if (const auto* card = std::get_if<cluster::CardHeard>(&event)) inner_->cards[card->device] = card->card;
  if (const auto* band = std::get_if<cluster::BandChanged>(&event)) {
    inner_->spared.erase(band->device);
    if (band->band != cluster::Band::normal) inner_->spared[band->device] = band->why;
  }
  if (const auto* linked = std::get_if<cluster::PeerLinked>(&event)) {
    inner_->port.send(linked->device, kDesiredMessage, to_json(desired()));
    if (inner_->conductor.controls()) inner_->port.send(linked->device, kDeploymentsMessage, inner_->told);
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

void Deployer::heard_deployments(const std::string& device, Json deployments) {
  inner_->heard_from = device;
  inner_->heard_deployments = std::move(deployments);
  inner_->port.changed();
}

void Deployer::heard_plan_wanted(const std::string& device, const Json& body) {
  auto request = cluster::plan_request_from_json(body);
  if (!request) return inner_->port.told(request.error().message);
  inner_->plan(std::move(*request), [inner = inner_.get(), device](const cluster::Planned& planned) {
    inner->port.send(device, kPlanMadeMessage, to_json(planned));
  });
}

void Deployer::heard_plan_made(const std::string& device, const Json& body) {
  auto planned = cluster::planned_from_json(body);
  if (!planned) return inner_->port.told(planned.error().message);
  const auto asked = inner_->planners.find(planned->number);
  if (asked == inner_->planners.end() || asked->second != device) return;
  inner_->planners.erase(asked);
  inner_->take(std::move(*planned));
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
      inner->tell_deployments();
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

std::optional<cluster::ControllerSign> Deployer::controller_sign() const {
  return inner_->conductor.controller_sign(Clock::now());
}

const cluster::Desired& Deployer::desired() const { return inner_->conductor.desired(); }

std::vector<cluster::WishChange> Deployer::pending() const { return inner_->conductor.pending(); }

/// What the controller has told counts when it is about the record that this device knows, and for models
/// that this device does not wait for.
Json Deployer::deployments() const {
  Json own = inner_->own_deployments();
  const Json& heard = inner_->heard_deployments;
  const bool is_told = inner_->heard_from == desired().controller && !inner_->conductor.controls() &&
                       heard.is_object() && heard.value("epoch", Json()) == own["epoch"] &&
                       heard.contains("deployments") && heard["deployments"].is_array();
  if (!is_told) return own;
  Json shown = std::move(own);
  shown["deployments"] = heard["deployments"];
  for (const cluster::WishChange& change : pending()) {
    Json& all = shown["deployments"];
    const auto same = std::find_if(all.begin(), all.end(), [&](const Json& one) {
      return one.is_object() && one.value("model", Json()) == model_of(change);
    });
    const Json asked{
        {"model", model_of(change)}, {"stage", name_of(cluster::Stage::asked)}, {"replicas", Json::array()}};
    if (same != all.end()) *same = asked;
    if (same == all.end()) all.push_back(asked);
  }
  return shown;
}

}  // namespace caravan::app
