#include "doctor/reachability.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::doctor {
namespace {

/// An address as its bytes, 4 or 16 of them; empty for text that is none.
std::vector<std::uint8_t> bytes_of(std::string_view text) {
  const std::string address(text);
  std::array<std::uint8_t, 16> raw{};
  if (::inet_pton(AF_INET, address.c_str(), raw.data()) == 1) return {raw.begin(), raw.begin() + 4};
  if (::inet_pton(AF_INET6, address.c_str(), raw.data()) == 1) return {raw.begin(), raw.end()};
  return {};
}

bool same_bits(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b, int bits) {
  if (a.empty() || a.size() != b.size()) return false;
  for (int bit = 0; bit < std::min(bits, static_cast<int>(a.size()) * 8); ++bit) {
    const auto at = static_cast<std::size_t>(bit / 8);
    const unsigned mask = 0x80U >> static_cast<unsigned>(bit % 8);
    if (((a[at] ^ b[at]) & mask) != 0) return false;
  }
  return true;
}

bool share_a_network(const PeerObservations& seen) {
  return std::any_of(seen.ours.begin(), seen.ours.end(), [&](const NetworkAddress& ours) {
    return std::any_of(seen.theirs.begin(), seen.theirs.end(),
                       [&](const NetworkAddress& theirs) { return same_network(ours, theirs); });
  });
}

/// Its connections come from an address that it does not have: a router replaced it.
bool comes_through_nat(const PeerObservations& seen) {
  if (seen.seen_from.empty() || seen.theirs.empty()) return false;
  const auto from = bytes_of(seen.seen_from);
  return std::none_of(seen.theirs.begin(), seen.theirs.end(),
                      [&](const NetworkAddress& one) { return bytes_of(one.address) == from; });
}

std::string addresses(const std::vector<NetworkAddress>& list) {
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (const NetworkAddress& one : list) texts.push_back(fmt::format("{}/{}", one.address, one.prefix));
  return texts.empty() ? "no address" : join(texts, ", ");
}

/// Why no connection from here to the peer can be made, when it is not because it is simply off.
Reach blocked_by(const PeerObservations& seen) {
  if (seen.we_host_hotspot || seen.peer_hosts_hotspot) return Reach::hotspot;
  if (comes_through_nat(seen)) return Reach::nat;
  return Reach::firewall;
}

/// In one network, and nothing came back from it.
Reach in_same_network(const PeerObservations& seen) {
  if (seen.we_host_hotspot || seen.peer_hosts_hotspot) return Reach::hotspot;
  // What it sends arrives here, or somebody reaches it: it runs, and this way in is closed.
  if (seen.beacon_heard) return Reach::firewall;
  if (seen.others_reach_peer) return seen.we_reach_others ? Reach::firewall : Reach::client_isolation;
  // Others of the network answer us, this one does not.
  if (seen.we_reach_others)
    return seen.to_peer == Attempt::unreachable ? Reach::not_running : Reach::firewall;
  // Only the router answers: the access point keeps its clients apart, or there is nobody else.
  if (seen.router_answers) return Reach::client_isolation;
  return Reach::unclear;
}

Reach in_different_networks(const PeerObservations& seen) {
  if (comes_through_nat(seen)) return Reach::nat;
  const auto is_public = [](const NetworkAddress& one) { return !is_private(one.address); };
  const bool they_are_public = std::any_of(seen.theirs.begin(), seen.theirs.end(), is_public);
  // To a public address a connection could be made from anywhere: somebody does not let it through.
  return they_are_public && seen.to_peer == Attempt::timed_out ? Reach::firewall : Reach::wrong_network;
}

Reach cause_of(const PeerObservations& seen) {
  if (seen.to_peer == Attempt::connected) return Reach::reachable;
  if (seen.ours.empty()) return Reach::no_network;
  if (seen.from_peer == Attempt::connected) return blocked_by(seen);
  if (seen.to_peer == Attempt::refused) return Reach::not_running;
  if (seen.to_peer == Attempt::turned_away) return Reach::turned_away;
  if (seen.to_peer == Attempt::unknown || seen.theirs.empty()) return Reach::unclear;
  return share_a_network(seen) ? in_same_network(seen) : in_different_networks(seen);
}

struct Words {
  std::string found;
  std::string why;
  std::vector<std::string> cure;
};

Words words_of_network(const PeerObservations& seen, Reach cause) {
  if (cause == Reach::no_network)
    return {"this device is on no network",
            "it cannot reach anybody",
            {"join the Wi-Fi that " + seen.peer + " is on"}};
  if (cause == Reach::wrong_network) {
    return {fmt::format("{} is on another network: {} there, {} here", seen.peer, addresses(seen.theirs),
                        addresses(seen.ours)),
            "the devices of a cluster must reach each other",
            {"join the same Wi-Fi on both; a guest network is another one than the router's own"}};
  }
  return {
      fmt::format("a router stands between this device and {}: it comes from {}, but has {}", seen.peer,
                  seen.seen_from, addresses(seen.theirs)),
      "it can connect to this device, this one cannot connect to it",
      {"let both join the same router (a second one behind the first should be a bridge or access point)",
       fmt::format("or let {} connect: on it, caravan join --peer ADDRESS-OF-THIS-DEVICE:7433", seen.peer)}};
}

Words words_of_block(const PeerObservations& seen, Reach cause) {
  if (cause == Reach::client_isolation) {
    return {
        fmt::format(
            "the access point keeps this device and {} apart: the router answers, no other device does",
            seen.peer),
        "\"client isolation\" lets every device reach the internet and none reach each other; guest networks "
        "have it on",
        {"in the router's Wi-Fi settings switch off \"AP isolation\" (client or wireless isolation)",
         "or join its main network instead of the guest network"}};
  }
  if (cause == Reach::hotspot) {
    return {fmt::format("{} is the hotspot that the other has joined, and it lets nobody connect to it",
                        seen.we_host_hotspot ? "this device" : seen.peer),
            "many phones refuse connections from the devices in their hotspot",
            {"use a Wi-Fi router instead of a hotspot",
             "or let the phone that hosts the hotspot be the one that joins: it can connect to the others"}};
  }
  if (cause == Reach::turned_away) {
    return {fmt::format("at {}'s address there is no link to be had{}{}", seen.peer,
                        seen.why_turned_away.empty() ? "" : ": ", seen.why_turned_away),
            "another device may have got its address, one of the two may have been removed, or they run "
            "different builds",
            {fmt::format("on {}: caravan status    # is it still in this cluster?", seen.peer),
             "the same Caravan and ./run build on both"}};
  }
  if (cause == Reach::not_running) {
    return {
        fmt::format("Caravan does not run on {}", seen.peer),
        seen.to_peer == Attempt::refused
            ? "the device answers, but nobody listens on its link port"
            : "other devices of the network answer, this one does not: it may be off",
        {fmt::format("on {}: caravan up", seen.peer), "on a phone, with the wake lock: termux-wake-lock"}};
  }
  return {fmt::format("{} is there, but TCP port 7433 does not get through to it", seen.peer),
          "a firewall on that device, or an app that acts as one, drops it",
          {"on it, if it runs Linux: sudo ufw allow 7433    # or: sudo firewall-cmd --add-port=7433/tcp "
           "--add-port=7433/udp",
           "on a phone: switch off VPN and firewall apps"}};
}

Words words_of(const PeerObservations& seen, Reach cause) {
  switch (cause) {
    case Reach::reachable:
      return {seen.peer + " can be reached", "", {}};
    case Reach::no_network:
    case Reach::wrong_network:
    case Reach::nat:
      return words_of_network(seen, cause);
    case Reach::unclear:
      return {fmt::format("{} does not answer, and nothing tells why", seen.peer),
              "neither another device nor the router answers this one, or nothing is known of it yet",
              {fmt::format("see whether {} is on, and in the same Wi-Fi; then on it: caravan doctor",
                           seen.peer)}};
    default:
      return words_of_block(seen, cause);
  }
}

}  // namespace

bool same_network(const NetworkAddress& a, const NetworkAddress& b) {
  return same_bits(bytes_of(a.address), bytes_of(b.address), std::max(0, std::min(a.prefix, b.prefix)));
}

bool is_private(std::string_view address) {
  constexpr std::array<std::pair<const char*, int>, 7> kRanges{{{"10.0.0.0", 8},
                                                                {"172.16.0.0", 12},
                                                                {"192.168.0.0", 16},
                                                                {"100.64.0.0", 10},
                                                                {"169.254.0.0", 16},
                                                                {"fc00::", 7},
                                                                {"fe80::", 10}}};
  const auto bytes = bytes_of(address);
  return std::any_of(kRanges.begin(), kRanges.end(), [&](const auto& range) {
    return same_bits(bytes, bytes_of(range.first), range.second);
  });
}

std::string_view name_of(Reach reach) {
  switch (reach) {
    case Reach::reachable:
      return "reachable";
    case Reach::no_network:
      return "no_network";
    case Reach::wrong_network:
      return "wrong_network";
    case Reach::nat:
      return "nat";
    case Reach::not_running:
      return "not_running";
    case Reach::firewall:
      return "firewall";
    case Reach::client_isolation:
      return "client_isolation";
    case Reach::hotspot:
      return "hotspot";
    case Reach::turned_away:
      return "turned_away";
    case Reach::unclear:
      break;
  }
  return "unclear";
}

ReachDiagnosis classify_reachability(const PeerObservations& seen) {
  ReachDiagnosis diagnosis;
  diagnosis.cause = cause_of(seen);
  diagnosis.works = seen.to_peer == Attempt::connected || seen.from_peer == Attempt::connected;
  Words words = words_of(seen, diagnosis.cause);
  const Status status = diagnosis.cause == Reach::reachable ? Status::ok
                        : diagnosis.works                   ? Status::note
                                                            : Status::problem;
  if (status == Status::note) words.found = "only one way: " + words.found;
  diagnosis.finding = {status, std::move(words.found), std::move(words.why), std::move(words.cure)};
  return diagnosis;
}

}  // namespace caravan::doctor
