// What the node and people ask a ClusterSide for.
#include <utility>

#include "app/cluster_inner.h"
#include "app/cluster_view.h"

namespace caravan::app {

/// What a client is told while no replica is ready anywhere.
gateway::ReplicaView ClusterSide::Inner::nothing_ready(gateway::ReplicaView view) const {
  using Phase = gateway::ReplicaView::Phase;
  if (view.phase == Phase::loading) return view;
  for (const auto& [device, state] : states) {
    if (state.role != cluster::Role::master || state.phase != cluster::Phase::loading) continue;
    view.phase = Phase::loading;
    view.progress = state.progress;
    view.model = state.model;
    return view;
  }
  const Json deployment = deployer->deployment();
  const auto& wish = deployer->desired().wish;
  if (!wish) {
    view.message = "no model is wanted in this cluster";
    view.hint = "run `caravan serve MODEL` on one of its devices";
    return view;
  }
  const bool failed = deployment.is_object() && deployment.value("stage", "") == "failed";
  view.phase = failed ? Phase::failed : Phase::starting;
  view.model = wish->model;
  if (deployment.is_object() && deployment.contains("error")) {
    const Error error = error_from_json(deployment["error"]);
    view.message = error.message;
    view.hint = error.hint;
  }
  return view;
}

Result<std::uint16_t> ClusterSide::Inner::api_tunnel(const std::string& device) {
  std::unique_ptr<link::Tunnel>& tunnel = api_tunnels[device];
  if (!tunnel) {
    auto opened = mesh->open_tunnel(device, kApiTarget);
    if (!opened) return opened.error();
    tunnel = std::move(*opened);
  }
  return tunnel->local_port();
}

Result<std::unique_ptr<link::Tunnel>> ClusterSide::tunnel_to(const cluster::WorkerEndpoint& worker) {
  if (!inner_->mesh->is_linked(worker.device)) {
    return Error{Code::disconnected, "no link to " + inner_->roster.name_of(worker.device), ""};
  }
  return inner_->mesh->open_tunnel(worker.device, kRpcTarget);
}

/// Replicas that are ready, `is_here`: also the one on this device.
std::vector<ReplicaOffer> ClusterSide::Inner::offers(bool is_here) const {
  const auto figures = replica_figures(deployer->deployment());
  std::vector<ReplicaOffer> offers;
  const auto add = [&](const std::string& device, cluster::Order order, int busy,
                       const cluster::Condition* told) {
    const auto known = figures.find(device);
    offers.push_back({device, order, busy, told != nullptr && told->rates ? told->rates->requests : 0,
                      device == roster.self(), known == figures.end() ? ReplicaFigures() : known->second});
  };
  // What the gateway here passes on is counted by the leases.
  if (is_here) add(roster.self(), node.state().order, 0, &senses.now());
  for (const auto& [device, state] : states) {
    const bool ready = state.role == cluster::Role::master && state.phase == cluster::Phase::ready;
    if (ready && mesh->is_linked(device)) add(device, state.order, state.busy, conditions.now_of(device));
  }
  return offers;
}

gateway::ReplicaView ClusterSide::replica(const gateway::ReplicaQuery& query, gateway::ReplicaView here) {
  Inner& inner = *inner_;
  const auto offers = inner.offers(here.phase == gateway::ReplicaView::Phase::ready);
  if (offers.empty()) return inner.nothing_ready(std::move(here));
  const TimePoint now = Clock::now();
  static const gateway::PromptPrefix none;
  const gateway::PromptPrefix& prompt = query.prompt == nullptr ? none : *query.prompt;
  const ReplicaOffer& chosen = offers[inner.replicas.choose(offers, prompt, now)];
  gateway::ReplicaView view = std::move(here);
  if (!chosen.is_here) {
    const auto port = inner.api_tunnel(chosen.device);
    if (!port) return inner.nothing_ready(std::move(view));
    view.phase = gateway::ReplicaView::Phase::ready;
    view.model = inner.states[chosen.device].model;
    view.backend = engine::TcpAddress{"127.0.0.1", *port};
  }
  if (query.prompt != nullptr) view.lease = inner.replicas.lease(chosen, prompt, now);
  return view;
}

Json ClusterSide::view() const {
  const Inner& inner = *inner_;
  ClusterFacts facts;
  facts.roster = &inner.roster;
  facts.own = inner.node.state();
  facts.own.device = inner.roster.self();
  facts.peers = inner.mesh->peers();
  facts.states = &inner.states;
  facts.cards = &inner.cards;
  facts.own_condition = inner.own_condition();
  facts.conditions = &inner.conditions;
  facts.traffic = &inner.traffic;
  facts.now = Clock::now();
  facts.neighbours = inner.mesh->neighbours();
  facts.deployment = inner.deployer->deployment();
  facts.pairing = inner.desk.view();
  facts.news.assign(inner.news.begin(), inner.news.end());
  if (inner.mesh->discovery_problem()) facts.problems.push_back(*inner.mesh->discovery_problem());
  if (inner.measure_problem) facts.problems.push_back(*inner.measure_problem);
  facts.link_port = inner.mesh->port();
  return cluster_view(facts);
}

engine::Change& ClusterSide::changes() { return inner_->view_change; }

Result<Json> ClusterSide::invite(bool with_code) {
  if (!with_code) {
    if (auto opened = inner_->desk.open_window(); !opened) return opened.error();
    return Json::object();
  }
  std::vector<link::CodeAddress> addresses;
  for (const link::LinkAddress& own : inner_->mesh->own_addresses())
    addresses.push_back({own.host, own.port});
  auto code = inner_->desk.make_code(std::move(addresses));
  if (!code) return code.error();
  return Json{{"code", std::move(*code)}};
}

Result<void> ClusterSide::confirm(const std::string& digits, bool same) {
  return inner_->desk.confirm(digits, same);
}

void ClusterSide::close_pairing() { inner_->desk.close(); }

Result<void> ClusterSide::remove(const std::string& device) {
  const auto id = inner_->roster.find(device);
  return id ? inner_->roster.remove(*id) : Result<void>(id.error());
}

Result<void> ClusterSide::rename(const std::string& device, const std::string& name) {
  const auto id = inner_->roster.find(device);
  return id ? inner_->roster.rename(*id, name) : Result<void>(id.error());
}

Result<void> ClusterSide::promote(const std::string& device) {
  const auto id = inner_->roster.find(device);
  return id ? inner_->roster.promote(*id) : Result<void>(id.error());
}

Result<void> ClusterSide::leave() { return inner_->roster.leave(); }

Result<void> ClusterSide::serve(const Json& asked) {
  auto wish = inner_->wish_from(asked);
  if (!wish) return wish.error();
  inner_->deployer->post(cluster::WishAsked{std::move(*wish)});
  return {};
}

/// A person names devices and gives a path; the wish has ids and a file name.
Result<std::optional<cluster::Wish>> ClusterSide::Inner::wish_from(const Json& asked) {
  if (asked.is_object() && asked.empty()) return std::optional<cluster::Wish>();
  Json named = asked;
  Fields fields(asked, "serve");
  const std::string path = fields.text("path");
  if (!fields.ok()) return fields.error();
  const auto held = shelf.add(path);
  if (!held) return held.error();
  named["file"] = held->file;
  named["size"] = held->size.count;
  auto wish = cluster::wish_from_json(named);
  if (!wish) return wish.error();
  for (auto* list : {&wish->use, &wish->avoid}) {
    for (std::string& device : *list) {
      auto id = roster.find(device);
      if (!id) return id.error();
      device = std::move(*id);
    }
  }
  card_is_due.notify();
  return std::optional<cluster::Wish>(std::move(*wish));
}

}  // namespace caravan::app
