#include "doctor/peer_checks.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/json_look.h"
#include "base/text.h"
#include "base/units.h"
#include "doctor/router_probe.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{10};
constexpr double kFarAway = 10;     // ms: the design's figures are of a few
constexpr double kFresh = 15'000;   // ms: beacons come at least that often
constexpr double kOverlap = 2'000;  // ms: a beacon may be as old as the link's last word
constexpr double kSettling = 5;     // seconds in which a change gets everywhere
constexpr int kUsualPrefix = 24;
constexpr std::size_t kMost = 128;

/// For people: it came from other devices.
std::string shown(const Json& object, const char* field) { return printable(text_in(object, field)); }

Attempt attempt_of(const Json& tried) {
  const std::string outcome = shown(tried, "outcome");
  if (outcome == "connected") return Attempt::connected;
  if (outcome == "refused") return Attempt::refused;
  if (outcome == "timed_out") return Attempt::timed_out;
  if (outcome == "unreachable") return Attempt::unreachable;
  return outcome == "turned_away" ? Attempt::turned_away : Attempt::unknown;
}

std::string_view words_of(Attempt attempt) {
  switch (attempt) {
    case Attempt::connected:
      return "connected";
    case Attempt::refused:
      return "refused";
    case Attempt::timed_out:
      return "nothing came back";
    case Attempt::unreachable:
      return "no such device";
    case Attempt::turned_away:
      return "turned away";
    case Attempt::unknown:
      break;
  }
  return "not known";
}

/// "10.0.0.7:7433, 12 s ago: nothing came back".
std::string tried_text(const Json& tried) {
  const std::chrono::duration<double> ago(number_in(tried, "seconds_ago", 0));
  return fmt::format("{}, {} ago: {}", shown(tried, "address"), format_duration(ago),
                     words_of(attempt_of(tried)));
}

std::vector<NetworkAddress> addresses_in(const Json& device) {
  std::vector<NetworkAddress> addresses;
  for (const Json& one : part_of(device, "addresses")) {
    const double prefix = number_in(one, "prefix", kUsualPrefix);
    if (prefix >= 0 && prefix <= 128 && addresses.size() < kMost)
      addresses.push_back({shown(one, "address"), static_cast<int>(prefix)});
  }
  return addresses;
}

std::string host_of(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

/// Since when its own beacons have arrived that were sent after the link had ended.
bool beacon_heard(const Json& view, const std::string& id, const Json& device) {
  for (const Json& neighbour : part_of(view, "neighbours")) {
    if (shown(neighbour, "id") != id) continue;
    const double heard = number_in(neighbour, "heard_ms", kFresh);
    const double lost = number_in(device, "last_heard_ms", 2 * kFresh);
    return heard < kFresh && heard + kOverlap < lost;
  }
  return false;
}

bool share_network(const std::vector<NetworkAddress>& all, const std::string& address) {
  return std::any_of(all.begin(), all.end(), [&](const NetworkAddress& one) {
    return same_network(one, {address, one.prefix});
  });
}

PeerObservations observe(const Json& view, const Json& own, const Json& device) {
  PeerObservations seen;
  const Json& tried = part_of(device, "tried");
  seen.peer = shown(device, "name");
  seen.to_peer = attempt_of(tried);
  seen.from_peer = attempt_of(part_of(device, "tried_from_there"));
  seen.why_turned_away = shown(tried, "why");
  seen.ours = addresses_in(own);
  seen.theirs = addresses_in(device);
  const std::string last_place = host_of(shown(tried, "address"));
  if (seen.theirs.empty() && !last_place.empty()) seen.theirs.push_back({last_place, kUsualPrefix});
  seen.seen_from = shown(device, "seen_from");
  seen.beacon_heard = beacon_heard(view, shown(device, "id"), device);
  seen.others_reach_peer = !part_of(device, "reached_by").empty();
  seen.we_host_hotspot = flag_in(own, "hotspot");
  seen.peer_hosts_hotspot = flag_in(device, "hotspot");
  for (const Json& other : part_of(view, "devices")) {
    const bool is_linked = flag_in(other, "linked") && !flag_in(other, "self");
    if (is_linked && share_network(seen.ours, shown(other, "address"))) seen.we_reach_others = true;
  }
  return seen;
}

PeerState peer_from(const Json& view, const Json& own, const Json& device) {
  PeerState peer;
  peer.name = shown(device, "name");
  peer.linked = flag_in(device, "linked");
  peer.round_trip_ms = maybe_number_in(device, "round_trip_ms");
  const Json& membership = part_of(device, "membership");
  peer.version = maybe_number_in(membership, "version");
  peer.differs = maybe_number_in(membership, "differs_seconds");
  if (peer.linked) return peer;
  peer.seen = observe(view, own, device);
  const Json& there = part_of(device, "tried");
  const Json& back = part_of(device, "tried_from_there");
  if (!there.empty()) peer.tried = "tried " + tried_text(there);
  if (!back.empty())
    peer.tried += fmt::format("{}it has tried {}", peer.tried.empty() ? "" : "; ", tried_text(back));
  return peer;
}

/// Several findings of one check as one: the worst first, and each cure once.
Finding together(std::vector<Finding> findings) {
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return static_cast<int>(a.status) > static_cast<int>(b.status);
  });
  Finding sum = findings.front();
  for (std::size_t i = 1; i < findings.size(); ++i) {
    sum.found += "; " + findings[i].found;
    if (findings[i].why != sum.why) sum.why += "; " + findings[i].why;
    for (std::string& line : findings[i].cure) {
      if (std::find(sum.cure.begin(), sum.cure.end(), line) == sum.cure.end())
        sum.cure.push_back(std::move(line));
    }
  }
  return sum;
}

/// Why nothing can be said; nothing when there are peers to talk about.
std::optional<Finding> nobody(const PeersState& state) {
  if (state.unknown) return skipped(state.unknown->message);
  if (!state.member) return skipped("this device is in no cluster");
  if (state.peers.empty()) return ok("this device is alone in its cluster");
  return std::nullopt;
}

}  // namespace

PeersState peers_from(const Json& view) {
  PeersState state;
  const Json& cluster = part_of(view, "cluster");
  state.member = flag_in(cluster, "member");
  state.version = number_in(cluster, "version", 0);
  const Json& devices = part_of(view, "devices");
  const auto self = std::find_if(devices.begin(), devices.end(),
                                 [](const Json& device) { return flag_in(device, "self"); });
  static const Json nobody_yet = Json::object();
  const Json& own = self == devices.end() ? nobody_yet : *self;
  state.ours = addresses_in(own);
  for (const Json& device : devices) {
    if (!device.is_object() || flag_in(device, "self") || state.peers.size() == kMost) continue;
    state.peers.push_back(peer_from(view, own, device));
  }
  return state;
}

Finding peers_linked(const PeersState& state) {
  if (auto none = nobody(state)) return *std::move(none);
  std::vector<Finding> findings;
  std::vector<std::string> linked;
  for (const PeerState& peer : state.peers) {
    if (peer.linked) {
      linked.push_back(peer.name);
      continue;
    }
    Finding finding = classify_reachability(peer.seen).finding;
    // Whatever connections do: there is no link.
    if (finding.status == Status::ok || finding.status == Status::note) finding.status = Status::warning;
    if (finding.why.empty()) {
      finding.why = "connections get through, and still there is no link: it may have just begun";
      finding.cure = {"wait half a minute; then on both: caravan logs"};
    }
    finding.found += peer.tried.empty() ? " (nothing was tried yet)" : fmt::format(" ({})", peer.tried);
    findings.push_back(std::move(finding));
  }
  if (findings.empty()) return ok(join(linked, ", "));
  return together(std::move(findings));
}

Finding peers_near(const PeersState& state) {
  if (auto none = nobody(state)) return *std::move(none);
  std::vector<std::string> near;
  std::vector<std::string> far;
  for (const PeerState& peer : state.peers) {
    if (!peer.linked || !peer.round_trip_ms) continue;
    const std::string text = fmt::format("{}: {:.1f} ms", peer.name, *peer.round_trip_ms);
    (*peer.round_trip_ms > kFarAway ? far : near).push_back(text);
  }
  if (far.empty()) return near.empty() ? skipped("no device is linked") : ok(join(near, ", "));
  return {
      Status::warning,
      "messages take long to come back from " + join(far, ", "),
      "each token crosses to every device that carries layers, and back: 10 ms for each are 10 ms a token",
      {"bring the devices nearer to the access point, into its 5 GHz network, or onto a cable",
       "switch the Wi-Fi's power saving off (wifi-power-save), and what else loads the network"}};
}

Finding membership_agrees(const PeersState& state) {
  if (auto none = nobody(state)) return *std::move(none);
  std::vector<std::string> others;
  std::vector<std::string> behind;
  bool is_behind = false;
  bool is_known = false;
  for (const PeerState& peer : state.peers) {
    if (!peer.linked || !peer.version) continue;
    is_known = true;
    if (peer.differs.value_or(0) <= kSettling) continue;
    others.push_back(fmt::format("{} holds version {:.0f} for {}", peer.name, *peer.version,
                                 format_duration(std::chrono::duration<double>(*peer.differs))));
    if (*peer.version < state.version) behind.push_back(peer.name);
    is_behind = is_behind || *peer.version > state.version;
  }
  if (!is_known) return skipped("no linked device has told");
  if (others.empty()) return ok(fmt::format("all linked devices hold version {:.0f}", state.version));
  std::vector<std::string> cure;
  cure.reserve(behind.size() + 1);
  for (const std::string& name : behind)
    cure.push_back(fmt::format(
        "on {}: caravan doctor --only home-writable,storage; then caravan stop && caravan up -d", name));
  if (is_behind)
    cure.emplace_back(
        "here: caravan doctor --only home-writable,storage; then caravan stop && caravan up -d");
  if (cure.empty())
    cure.emplace_back("on both: caravan stop && caravan up -d; then `caravan status` on both");
  return {Status::problem,
          fmt::format("who belongs to the cluster is not the same everywhere: {}, this device version {:.0f}",
                      join(others, ", "), state.version),
          "who was removed could still be let in by one, and who was let in be refused by the other: the one "
          "that "
          "is behind cannot keep the news, or does not get it",
          std::move(cure)};
}

Step peer_step(ReadClusterView view) {
  return make_step<PeersState>(
      {{{"peers-linked", "the other devices of the cluster, and why one is not reached"}, peers_linked},
       {{"peers-near", "round trips to them"}, peers_near},
       {{"membership-agrees", "the same members everywhere"}, membership_agrees}},
      kLimit, [view = std::move(view)] {
        PeersState state;
        auto told = view ? view() : Result<Json>(Error{Code::unavailable, "no node was asked", ""});
        if (!told) {
          state.unknown = told.error();
          return state;
        }
        state = peers_from(*told);
        std::vector<NetworkAddress> others;
        bool is_needed = false;
        for (const PeerState& peer : state.peers) {
          is_needed = is_needed || (!peer.linked && !peer.seen.we_reach_others);
          others.insert(others.end(), peer.seen.theirs.begin(), peer.seen.theirs.end());
        }
        if (!is_needed) return state;
        const bool answers = router_answers(state.ours, others);
        for (PeerState& peer : state.peers) peer.seen.router_answers = answers;
        return state;
      });
}

}  // namespace caravan::doctor
