// The part of a ClusterSide about the devices' conditions: what this one tells of itself, and what it makes
// of what others tell.
#include <algorithm>
#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "app/cluster_inner.h"
#include "doctor/network_checks.h"
#include "engine/pause.h"
#include "link/interfaces.h"

namespace caravan::app {

using engine::pause_for;

using namespace asio::experimental::awaitable_operators;

namespace {

constexpr const char* kConditionMessage = "condition";
constexpr std::chrono::milliseconds kTell{5'000};        ///< between two conditions, at most
constexpr std::chrono::milliseconds kTellPause{1'000};   ///< between two changes that are told
constexpr const char* kAndroidHotspot = "192.168.43.1";  // com.android.tethering's own until Android 10
constexpr int kUsualPrefix = 24;                         // where the system hides it
constexpr int kUsualPrefix6 = 64;

void add_addresses(cluster::Condition& condition) {
  const auto interfaces = link::interface_addresses();
  if (!interfaces) return;
  for (const link::InterfaceAddress& one : *interfaces) {
    const bool is_v6 = one.address.is_v6();
    const bool is_local = one.is_loopback || (is_v6 && one.address.to_v6().is_link_local());
    if (is_local || condition.addresses.size() == cluster::kMostOwnAddresses) continue;
    const int usual = is_v6 ? kUsualPrefix6 : kUsualPrefix;
    const std::string address = one.address.to_string();
    condition.addresses.push_back({address, one.prefix > 0 ? one.prefix : usual});
    const bool is_hotspot = doctor::kind_of(one.interface) == doctor::InterfaceKind::hotspot;
    condition.is_hotspot = condition.is_hotspot || is_hotspot || address == kAndroidHotspot;
  }
}

}  // namespace

/// Where devices that are linked with this one say that they are, and where they were reached from here.
std::vector<cluster::Place> ClusterSide::Inner::places() const {
  std::vector<cluster::Place> places;
  const auto add = [&](cluster::Place place) {
    const bool is_new = std::find(places.begin(), places.end(), place) == places.end();
    if (is_new && places.size() < cluster::kMostPlaces) places.push_back(std::move(place));
  };
  for (const PeerView& peer : mesh->peers()) {
    if (!peer.linked) continue;
    for (const link::LinkAddress& known : mesh->known_addresses(peer.device))
      add({peer.device, known.host, known.port});
    const cluster::Condition* told = conditions.now_of(peer.device);
    if (told == nullptr || told->link_port == 0) continue;
    for (const cluster::OwnAddress& own : told->addresses) add({peer.device, own.address, told->link_port});
  }
  return places;
}

cluster::Condition ClusterSide::Inner::own_condition() const {
  cluster::Condition condition = senses.now();
  add_addresses(condition);
  condition.handling = handling;
  condition.link_port = mesh->port();
  condition.places = places();
  condition.links = conditions.links();
  condition.ways = conditions.ways(Clock::now());
  condition.speed = speed_check.note();
  const link::MembershipSummary summary = roster.membership().summary();
  condition.membership_version = summary.version;
  condition.membership_digest = summary.digest;
  return condition;
}

asio::awaitable<void> ClusterSide::Inner::tell_conditions() {
  while (!stopped) {
    const std::uint64_t seen = condition_change.count();
    if (const auto& rates = senses.now().rates) replicas.reported(roster.self(), rates->requests);
    const cluster::Condition own = own_condition();
    note_band(roster.self(), own);
    mesh->broadcast(kConditionMessage, to_json(own));
    changed();
    co_await pause_for(kTellPause);
    co_await (condition_change.past(seen) || pause_for(kTell));
  }
}

void ClusterSide::Inner::tell_condition_to(const std::string& device) {
  (void)mesh->send(device, kConditionMessage, to_json(own_condition()));
}

/// False when the message is none of these.
bool ClusterSide::Inner::take_condition(const std::string& device, const std::string& name,
                                        const Json& body) {
  if (name != kConditionMessage) return false;
  auto told = cluster::condition_from_json(body);
  if (!told) return true;  // what is known stays as it is
  if (told->rates) replicas.reported(device, told->rates->requests);
  std::vector<cluster::Place> told_places = told->places;
  for (const cluster::OwnAddress& own : told->addresses) {
    if (told->link_port > 0) told_places.push_back({device, own.address, told->link_port});
  }
  mesh->told_of(device, std::move(told_places));
  note_band(device, *told);
  conditions.heard(device, std::move(*told), roster.membership().summary(), Clock::now());
  changed();
  return true;
}

void ClusterSide::Inner::note_band(const std::string& device, const cluster::Condition& condition) {
  cluster::DeviceBand& state = bands[device];
  if (state.update(condition, Clock::now()))
    deployer->post(cluster::BandChanged{device, state.band(), state.why()});
}

bool ClusterSide::Inner::is_spared(const std::string& device) const {
  const auto state = bands.find(device);
  return state != bands.end() && state->second.band() != cluster::Band::normal;
}

void ClusterSide::Inner::note_linked(const std::string& device) {
  for (const PeerView& peer : mesh->peers()) {
    if (peer.device == device) conditions.linked(device, peer.dialled ? "" : peer.address);
  }
  tell_condition_to(device);
  measurer.linked(device);
}

LinkMeasurerPort ClusterSide::Inner::measurer_port() {
  LinkMeasurerPort port;
  port.tunnel = [this](const std::string& device) { return mesh->open_tunnel(device, kMeasureTarget); };
  port.is_quiet = [this]() { return is_quiet(); };
  port.measured = [this](const cluster::MeasuredLink& link) {
    conditions.measured(link);
    condition_change.notify();
  };
  return port;
}

/// Read on another thread: a long recording takes a while. That thread is this object's own, so it must not
/// be the one that lets go of it last.
void ClusterSide::Inner::traced(const std::string& model, std::string recording) {
  asio::post(pool, [weak = weak_from_this(), loop = executor, model, recording = std::move(recording)]() {
    const auto between = time_between(recording);
    if (!between) return;
    asio::post(loop, [weak, model, between = *between]() {
      if (const auto self = weak.lock(); self && !self->stopped) self->was_between(model, between);
    });
  });
}

void ClusterSide::Inner::was_between(const std::string& model, double seconds) {
  const auto shown = handling_of(seconds, deployer->deployments(), model, roster.self());
  if (!shown) return;
  handling = shown;
  if (auto saved = save_handling(handling_file(), *shown); !saved)
    say(fmt::format("cannot keep what the trace has shown: {}", saved.error().message));
  condition_change.notify();
}

/// Nowhere in the cluster: devices share the air.
bool ClusterSide::Inner::is_quiet() const {
  const auto is_at_work = [](const cluster::NodeState& state, const cluster::Condition* told) {
    const bool is_still = state.phase == cluster::Phase::idle || state.phase == cluster::Phase::ready ||
                          state.phase == cluster::Phase::failed;
    const bool is_answering = told != nullptr && told->rates && told->rates->requests > 0;
    return !is_still || state.busy > 0 || is_answering;
  };
  if (is_at_work(node.state(), &senses.now())) return false;
  return std::none_of(states.begin(), states.end(), [&](const auto& entry) {
    return is_at_work(entry.second, conditions.now_of(entry.first));
  });
}

}  // namespace caravan::app
