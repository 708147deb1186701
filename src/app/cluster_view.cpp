#include "app/cluster_view.h"

#include "app/condition_view.h"
#include "base/text.h"

namespace caravan::app {
namespace {

double to_milliseconds(link::Seconds time) { return time.count() * 1000; }

void add_state(Json& device, const cluster::NodeState& state) {
  device["role"] = name_of(state.role);
  device["phase"] = name_of(state.phase);
  device["progress"] = state.progress;
  device["memory"] = state.memory.count;
  device["cores"] = state.cores;
  device["api"] = state.api;
  device["engine_build"] = state.engine_build;
  device["busy"] = state.busy;
  if (!state.model.empty()) device["model"] = state.model;
  if (state.error) device["error"] = to_json(*state.error);
  Json& layers = device["layers"] = Json::array();
  for (const cluster::ObservedLayers& observed : state.observed)
    layers.push_back(
        {{"rank", observed.rank}, {"layers", observed.layers}, {"weights", observed.weights.count}});
}

void add_card(Json& device, const cluster::NodeCard& card) {
  device["measured"] = card.profile.has_value();
  if (card.profile) device["memory"] = card.profile->memory.count;
  Json& models = device["models"] = Json::array();
  for (const cluster::HeldModel& model : card.models) models.push_back(model.file);
}

void add_peer(Json& device, const PeerView& peer) {
  device["linked"] = peer.linked;
  device["suspect"] = peer.suspect;
  if (peer.linked) device["address"] = peer.address;
  if (peer.round_trip) {
    device["round_trip_ms"] = to_milliseconds(peer.round_trip->median);
    device["round_trip_p95_ms"] = to_milliseconds(peer.round_trip->p95);
  }
  if (peer.last_heard) device["last_heard_ms"] = peer.last_heard->count();
}

Json describe(const link::Neighbour& neighbour, const Roster& roster, TimePoint now) {
  Json addresses = Json::array();
  for (const link::HeardAddress& heard : neighbour.addresses)
    addresses.push_back({{"host", heard.address.host}, {"port", heard.address.port}});
  return {{"id", neighbour.device},
          {"name", printable(neighbour.name)},
          {"member", roster.members().contains(neighbour.device)},
          {"pairing_open", neighbour.pairing_open},
          {"heard_ms", std::chrono::duration_cast<std::chrono::milliseconds>(now - neighbour.heard).count()},
          {"addresses", std::move(addresses)}};
}

}  // namespace

Json cluster_view(const ClusterFacts& facts) {
  const Roster& roster = *facts.roster;
  const link::MembershipState& membership = roster.membership().state();
  Json devices = Json::array();
  for (const auto& [key, member] : membership.members) {
    const std::string id = link::device_id(key);
    Json device{{"id", id},
                {"short_id", link::short_id(id)},
                {"name", roster.name_of(id)},
                {"owner", member.is_owner},
                {"self", id == roster.self()}};
    if (id == roster.self()) {
      device["linked"] = true;
      add_state(device, facts.own);
      add_condition(device, facts.own_condition);
      add_place(device, facts.own_condition);
    } else {
      add_ways(device, roster.self(), id, *facts.conditions, facts.now);
    }
    for (const PeerView& peer : facts.peers) {
      if (peer.device == id) add_peer(device, peer);
    }
    if (const auto state = facts.states->find(id); state != facts.states->end())
      add_state(device, state->second);
    if (const auto* told = facts.conditions->now_of(id)) add_condition(device, *told);
    // Also of one that is away: where it was helps to tell why it is not reached.
    if (const auto* told = facts.conditions->last_of(id)) add_place(device, *told);
    for (const std::string& by : facts.conditions->who_reaches(id))
      device["reached_by"].push_back(roster.name_of(by));
    add_traffic(device, facts.traffic->of(id));
    if (const auto state = facts.bands->find(id); state != facts.bands->end())
      add_band(device, state->second);
    if (const auto card = facts.cards->find(id); card != facts.cards->end()) add_card(device, card->second);
    devices.push_back(std::move(device));
  }
  Json neighbours = Json::array();
  for (const link::Neighbour& neighbour : facts.neighbours)
    neighbours.push_back(describe(neighbour, roster, facts.now));
  Json problems = Json::array();
  for (const Error& problem : facts.problems) problems.push_back(to_json(problem));
  return {{"cluster",
           {{"id", roster.membership().cluster_id()},
            {"name", membership.cluster_name},
            {"version", roster.membership().version()},
            {"member", roster.is_member()}}},
          {"self",
           {{"id", roster.self()},
            {"name", roster.name_of(roster.self())},
            {"link_port", facts.link_port},
            {"owner", roster.is_owner()}}},
          {"devices", std::move(devices)},
          {"neighbours", std::move(neighbours)},
          {"controller", facts.deployments.value("controller", "")},
          {"epoch", facts.deployments.value("epoch", std::uint64_t{0})},
          {"deployments", facts.deployments.value("deployments", Json::array())},
          {"pairing", facts.pairing},
          {"news", facts.news},
          {"problems", std::move(problems)}};
}

}  // namespace caravan::app
