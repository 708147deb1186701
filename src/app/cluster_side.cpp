#include "app/cluster_side.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>

#include "app/cluster_inner.h"
#include "app/deployer.h"
#include "app/model_shelf.h"
#include "app/own_profile.h"
#include "app/pairing_desk.h"
#include "app/replica_choice.h"
#include "base/text.h"
#include "engine/pause.h"

namespace caravan::app {

using engine::pause_for;

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::milliseconds kReport{1'000};     ///< between two reports of one's state, at most
constexpr std::chrono::milliseconds kReportPause{100};  ///< between two changes that are told
constexpr double kUnmeasuredRoundTrip = 0.005;          ///< seconds, until the first answered ping

/// Seconds by device id, as a state report carries them.
std::map<std::string, double> round_trips_from(const Json& body) {
  std::map<std::string, double> seconds;
  const auto found = body.find("round_trips");
  if (found == body.end() || !found->is_object()) return seconds;
  for (const auto& [device, value] : found->items()) {
    if (value.is_number() && seconds.size() < 256) seconds[device] = value.get<double>();
  }
  return seconds;
}

}  // namespace

Result<void> ClusterSide::Inner::open() {
  auto desired = cluster::load_desired(options.mesh.folder / "deployment.json");
  if (!desired) return desired.error();
  handling = load_handling(handling_file());
  shelf.refresh();
  auto opened = Mesh::open(executor, roster, options.mesh, mesh_events());
  if (!opened) return opened.error();
  mesh = std::move(*opened);
  roster.on_change([this]() {
    mesh->membership_changed();
    if (!roster.is_member()) end_here();
  });
  desk.on_change([this]() {
    mesh->pairing_changed();
    changed();
  });
  deployer = std::make_unique<Deployer>(executor, pool.get_executor(), roster.self(),
                                        options.mesh.folder / "deployment.json", std::move(*desired),
                                        deployer_port());
  return {};
}

MeshEvents ClusterSide::Inner::mesh_events() {
  MeshEvents events;
  events.linked = [this](const std::string& device) {
    say(roster.name_of(device) + " is linked");
    deployer->post(cluster::PeerLinked{device});
    if (const auto own = cards.find(roster.self()); own != cards.end())
      (void)mesh->send(device, kCardMessage, to_json(own->second));
    tell_state();
    note_linked(device);
  };
  events.lost = [this](const std::string& device, const Error& why) {
    say(fmt::format("{} is lost: {}", roster.name_of(device), why.message));
    states.erase(device);
    cards.erase(device);
    conditions.lost(device);
    measurer.lost(device);
    traffic.forget(device);
    replicas.forget(device);
    api_tunnels.erase(device);
    deployer->post(cluster::PeerLost{device, with_context(why, roster.name_of(device))});
  };
  events.dialled = [this](const link::DialReport& report) {
    conditions.tried(report, Clock::now());
    condition_change.notify();
  };
  events.removed = [this](const std::string& device) {
    conditions.forget(device);
    bands.erase(device);
    measurer.forget(device);
    deployer->post(cluster::PeerRemoved{device});
  };
  events.received = [this](const std::string& device, const std::string& name, const Json& body) {
    return received(device, name, body);
  };
  events.target = [this](const std::string& device, const std::string& name) {
    return name == kMeasureTarget ? measurer.answer(device) : target(name);
  };
  events.pairing = [this](std::unique_ptr<link::MessageSocket> socket) {
    return desk.serve(std::move(socket));
  };
  events.pairing_is_open = [this]() { return desk.is_open(); };
  events.changed = [this]() { changed(); };
  return events;
}

DeployerPort ClusterSide::Inner::deployer_port() {
  DeployerPort port;
  port.send = [this](const std::string& device, const std::string& name, Json body) {
    (void)mesh->send(device, name, std::move(body));  // without a session: its loss is reported by itself
  };
  port.broadcast = [this](const std::string& name, const Json& body) { mesh->broadcast(name, body); };
  port.assign_here = [this](cluster::Assignment assignment) { return assign(std::move(assignment)); };
  port.with_names = [this](const std::string& text) { return roster.with_names(text); };
  port.path_of = [this](const std::string& file) { return shelf.path_of(file); };
  port.round_trip = [this](const std::string& device) -> std::optional<double> {
    if (!mesh->is_linked(device)) return std::nullopt;
    const auto measured = mesh->round_trip(device);
    return measured ? measured->median.count() : kUnmeasuredRoundTrip;
  };
  port.bandwidth = [this](const std::string& a, const std::string& b) { return conditions.bandwidth(a, b); };
  port.handling = [this]() { return conditions.handling(handling); };
  port.changed = [this]() { changed(); };
  port.told = [this](const std::string& text) { say(text); };
  return port;
}

void ClusterSide::Inner::say(const std::string& text) {
  constexpr std::size_t kMostNews = 50;
  news.push_back(text);
  if (news.size() > kMostNews) news.pop_front();
  fmt::print(stderr, "{}\n", text);
  changed();
}

bool ClusterSide::Inner::received(const std::string& device, const std::string& name, const Json& body) {
  if (name == kStateMessage) {
    take_state(device, body);
  } else if (name == kCardMessage) {
    auto card = cluster::card_from_json(body);
    if (!card) return say(fmt::format("{}: {}", roster.name_of(device), card.error().message)), true;
    cards[device] = *card;
    deployer->post(cluster::CardHeard{device, std::move(*card)});
  } else if (name == kDesiredMessage) {
    auto desired = cluster::desired_from_json(body);
    if (desired) deployer->post(cluster::DesiredHeard{std::move(*desired)});
  } else if (name == kAssignMessage) {
    take_assignment(device, body);
  } else if (name == kAskMessage) {
    auto change = cluster::wish_change_from_json(body);
    if (change) deployer->post(cluster::ChangeHeard{std::move(*change)});
  } else if (name == kPlanWantedMessage) {
    deployer->heard_plan_wanted(device, body);
  } else if (name == kPlanMadeMessage) {
    deployer->heard_plan_made(device, body);
  } else if (name == kDeploymentsMessage) {
    deployer->heard_deployments(device, body);
  } else if (name == kMeasureMessage) {
    asked_to_measure(device);
  } else {
    return take_condition(device, name, body);
  }
  return true;
}

/// This device is no member any more: what it does for the others ends.
void ClusterSide::Inner::end_here() {
  say("this device is no member of its cluster any more");
  deployer->post(cluster::ChangeAsked{});
}

/// Whatever name it gives itself: who it is was proved by the link.
void ClusterSide::Inner::take_state(const std::string& device, const Json& body) {
  auto state = cluster::node_state_from_json(body);
  if (!state) return;
  state->device = device;
  states[device] = *state;
  traffic.add(device, state->traffic, Clock::now());
  auto round_trips = round_trips_from(body);
  std::set<std::string> reached;
  for (const auto& [other, seconds] : round_trips) reached.insert(other);
  conditions.reaches(device, std::move(reached));
  deployer->heard_round_trips(device, std::move(round_trips));
  deployer->post(cluster::StateReported{std::move(*state)});
  changed();
}

void ClusterSide::Inner::take_assignment(const std::string& device, const Json& body) {
  auto assignment = cluster::assignment_from_json(body);
  auto accepted = assignment ? assign(std::move(*assignment)) : Result<void>(assignment.error());
  if (accepted) return;
  say(fmt::format("{} asked for what cannot be: {}", roster.name_of(device), accepted.error().message));
  // It may not know that somebody else has taken over.
  (void)mesh->send(device, kDesiredMessage, to_json(deployer->desired()));
}

/// Models are named by their files: where these are is every device's own business.
Result<void> ClusterSide::Inner::assign(cluster::Assignment assignment) {
  if (assignment.role == cluster::Role::master) {
    const auto path = shelf.path_of(assignment.model_path);
    if (!path) return path.error();
    assignment.model_path = path->string();
  }
  return node.assign(std::move(assignment));
}

Result<std::uint16_t> ClusterSide::Inner::target(const std::string& name) const {
  const cluster::NodeState state = node.state();
  if (name == kRpcTarget && state.role == cluster::Role::worker && state.rpc_port > 0)
    return static_cast<std::uint16_t>(state.rpc_port);
  const auto backend = node.backend_port();
  if (name == kApiTarget && backend) return *backend;
  return Error{Code::unavailable, fmt::format("nothing runs here that is called '{}'", printable(name)), ""};
}

void ClusterSide::Inner::tell_state() {
  cluster::NodeState state = node.state();
  state.device = roster.self();
  state.controller = deployer->controller_sign();
  Json body = to_json(state);
  body["round_trips"] = Json::object();
  for (const PeerView& peer : mesh->peers()) {
    if (peer.round_trip) body["round_trips"][peer.device] = peer.round_trip->median.count();
  }
  traffic.add(state.device, state.traffic, Clock::now());
  mesh->broadcast(kStateMessage, body);
  deployer->post(cluster::StateReported{std::move(state)});
}

asio::awaitable<void> ClusterSide::Inner::report_states() {
  while (!stopped) {
    const std::uint64_t seen = node.change->count();
    tell_state();
    look_for_rest();
    co_await pause_for(kReportPause);
    co_await (node.change->past(seen) || pause_for(kReport));
  }
}

/// Whatever else is under way ends with it, also a measurement of many seconds.
asio::awaitable<void> ClusterSide::Inner::until_stopped() {
  while (!stopped) co_await view_change.past(view_change.count());
}

Result<std::unique_ptr<ClusterSide>> ClusterSide::open(asio::any_io_executor executor, ClusterOptions options,
                                                       NodePort node) {
  auto roster = Roster::open(options.mesh.folder, options.name, options.cluster);
  if (!roster) return roster.error();
  auto inner = std::make_shared<Inner>(executor, std::move(options), std::move(node), std::move(*roster));
  if (auto opened = inner->open(); !opened) return opened.error();
  return std::unique_ptr<ClusterSide>(new ClusterSide(std::move(inner)));
}

ClusterSide::ClusterSide(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

ClusterSide::~ClusterSide() {
  stop();
  inner_->mesh.reset();  // its callbacks lead here
}

asio::awaitable<void> ClusterSide::run() {
  const auto inner = inner_;
  co_await (inner->deployer->run() || inner->report_states() || inner->keep_card() || inner->senses.run() ||
            inner->tell_conditions() || inner->measurer.run() || inner->until_stopped());
}

void ClusterSide::stop() {
  inner_->stopped = true;
  if (inner_->deployer) inner_->deployer->stop();
  inner_->node.change->notify();
  inner_->view_change.notify();
  inner_->card_is_due.notify();
  inner_->condition_change.notify();
}

}  // namespace caravan::app
