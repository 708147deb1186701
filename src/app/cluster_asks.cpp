// What the node and people ask a ClusterSide for.
#include <utility>

#include <fmt/format.h>

#include "app/cluster_inner.h"
#include "app/cluster_view.h"

namespace caravan::app {

std::vector<std::string> ClusterSide::Inner::models() const {
  std::vector<std::string> names;
  const auto& wishes = deployer->desired().wishes;
  names.reserve(wishes.size());
  for (const cluster::Wish& wish : wishes) names.push_back(wish.model);
  return names;
}

/// What a client is told while no replica of this model is ready anywhere; without a name, of no model.
gateway::ReplicaView ClusterSide::Inner::nothing_ready(const std::string& model,
                                                       gateway::ReplicaView here) const {
  using Phase = gateway::ReplicaView::Phase;
  if (here.phase == Phase::loading && here.model == model) return here;
  gateway::ReplicaView view;
  view.created = here.created;
  view.model = model;
  if (model.empty()) {
    view.message = "no model is wanted in this cluster";
    view.hint = "run `caravan serve MODEL` on one of its devices";
    return view;
  }
  for (const auto& [device, state] : states) {
    if (state.role != cluster::Role::master || state.phase != cluster::Phase::loading) continue;
    if (state.model != model) continue;
    view.phase = Phase::loading;
    view.progress = state.progress;
    return view;
  }
  view.phase = Phase::starting;
  const Json known = deployer->deployments();
  for (const Json& one : known["deployments"]) {
    if (!one.is_object() || one.value("model", Json()) != model) continue;
    if (one.value("stage", Json()) == "failed") view.phase = Phase::failed;
    if (!one.contains("error")) continue;
    const Error error = error_from_json(one["error"]);
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
  if (worker.is_plain) return link::Tunnel::open(inner_->executor, worker.host, worker.port);
  if (!inner_->mesh->is_linked(worker.device)) {
    return Error{Code::disconnected, "no link to " + inner_->roster.name_of(worker.device), ""};
  }
  return inner_->mesh->open_tunnel(worker.device, kRpcTarget);
}

std::vector<std::string> ClusterSide::models() const { return inner_->models(); }

/// Replicas of this model that are ready, `is_here`: also the one on this device.
std::vector<ReplicaOffer> ClusterSide::Inner::offers(const std::string& model, bool is_here) const {
  const auto figures = replica_figures(deployer->deployments());
  std::vector<ReplicaOffer> offers;
  const auto add = [&](const std::string& device, cluster::Order order, int busy) {
    const auto known = figures.find(device);
    offers.push_back({device, order, busy, device == roster.self(),
                      known == figures.end() ? ReplicaFigures() : known->second});
  };
  // What the gateway here passes on is counted by the leases.
  if (is_here) add(roster.self(), node.state().order, 0);
  for (const auto& [device, state] : states) {
    const bool ready = state.role == cluster::Role::master && state.phase == cluster::Phase::ready;
    if (ready && state.model == model && mesh->is_linked(device)) add(device, state.order, state.busy);
  }
  return offers;
}

gateway::ReplicaView ClusterSide::replica(const gateway::ReplicaQuery& query, gateway::ReplicaView here) {
  using Phase = gateway::ReplicaView::Phase;
  Inner& inner = *inner_;
  const std::vector<std::string> served = inner.models();
  const auto meant = model_meant(served, query.model);
  if (!meant && !served.empty()) {
    here.phase = Phase::unknown;
    return here;
  }
  const std::string model = meant.value_or("");
  const auto offers = inner.offers(model, here.phase == Phase::ready && here.model == model);
  if (offers.empty()) return inner.nothing_ready(model, std::move(here));
  const TimePoint now = Clock::now();
  static const gateway::PromptPrefix none;
  const gateway::PromptPrefix& prompt = query.prompt == nullptr ? none : *query.prompt;
  const ReplicaOffer& chosen = offers[inner.replicas.choose(offers, prompt, now)];
  gateway::ReplicaView view = std::move(here);
  if (!chosen.is_here) {
    const auto port = inner.api_tunnel(chosen.device);
    if (!port) return inner.nothing_ready(model, std::move(view));
    view.phase = Phase::ready;
    view.model = model;
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
  facts.deployments = inner.deployer->deployments();
  facts.bands = &inner.bands;
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

void ClusterSide::traced(const std::string& model, std::string recording) {
  inner_->traced(model, std::move(recording));
}

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
  auto change = inner_->change_from(asked);
  if (!change) return change.error();
  inner_->deployer->post(cluster::ChangeAsked{std::move(*change)});
  return {};
}

Result<cluster::WishChange> ClusterSide::Inner::change_from(const Json& asked) {
  cluster::WishChange change;
  if (asked.is_object() && asked.empty()) return change;
  Fields fields(asked, "serve");
  change.stop = fields.text_or("stop", "");
  change.beside = fields.flag_or("beside", false);
  if (!fields.ok()) return fields.error();
  std::vector<cluster::Wish> wishes = deployer->desired().wishes;
  for (const cluster::WishChange& earlier : deployer->pending()) {
    if (auto changed = make_change(earlier, wishes)) wishes = std::move(*changed);
  }
  if (!change.stop.empty()) {
    if (!contains(wishes, change)) return change;
    std::vector<std::string> served;
    served.reserve(wishes.size());
    for (const cluster::Wish& wish : wishes) served.push_back(wish.model);
    return Error{Code::not_found, fmt::format("'{}' is not served", printable(change.stop)),
                 served.empty() ? "no model is" : "served are: " + join(served, ", ")};
  }
  auto wish = wish_from(asked);
  if (!wish) return wish.error();
  change.serve = std::move(*wish);
  const auto changed = make_change(change, std::move(wishes));
  return changed ? Result<cluster::WishChange>(std::move(change)) : changed.error();
}

/// A person names devices and gives a path; the wish has ids and a file name.
Result<cluster::Wish> ClusterSide::Inner::wish_from(const Json& asked) {
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
  return wish;
}

}  // namespace caravan::app
