// Why a device of the cluster cannot be reached, from what was observed: told apart as client isolation,
// hotspot, NAT, firewall, not running, wrong network. Pure; whoever has links to other devices fills in the
// observations.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "doctor/finding.h"

namespace caravan::doctor {

/// An IPv4 or IPv6 address with the length of its network's prefix.
struct NetworkAddress {
  std::string address;  ///< "192.168.1.5", "fd00::5"
  int prefix = 24;
};

/// Whether both are in the same network by the shorter of their prefixes. False for text that is no address,
/// and for different families.
bool same_network(const NetworkAddress& a, const NetworkAddress& b);
/// RFC 1918, RFC 4193, RFC 6598 (a provider's NAT) and link-local.
bool is_private(std::string_view address);

/// How a TCP connection to the link port went.
enum class Attempt {
  unknown,  ///< was not tried, or nobody can tell
  connected,
  refused,      ///< the device answered that nobody listens there
  timed_out,    ///< nothing came back
  unreachable,  ///< the network said that there is no such device (EHOSTUNREACH, ENETUNREACH)
  turned_away,  ///< somebody answers there, but is another device or does not let this one in
};

struct PeerObservations {
  std::string peer;  ///< its name, for people
  Attempt to_peer = Attempt::unknown;
  Attempt from_peer = Attempt::unknown;  ///< as the peer or a third device says
  std::string why_turned_away;           ///< one line, for people

  std::vector<NetworkAddress> ours;
  std::vector<NetworkAddress> theirs;  ///< as last heard of
  std::string seen_from;               ///< the address from which its connections come; empty: none has come

  bool beacon_heard = false;       ///< its beacons arrive here
  bool others_reach_peer = false;  ///< another device has a link to it now
  bool we_reach_others = false;    ///< we have a link to another device of the same network
  bool router_answers = false;     ///< the gateway of the network that we share with the peer does
  bool we_host_hotspot = false;
  bool peer_hosts_hotspot = false;
};

enum class Reach {
  reachable,
  no_network,        ///< this device is on none
  wrong_network,     ///< the two are on different networks
  nat,               ///< a router in between hides one from the other
  not_running,       ///< the device is there, or was, but Caravan is not
  firewall,          ///< it is there and lets nothing through to Caravan
  client_isolation,  ///< the access point keeps its clients apart
  hotspot,           ///< one is the other's hotspot, and lets nobody connect to it
  turned_away,       ///< it is another device, another build, or does not take this one for a member
  unclear,
};
/// As it is written in JSON, e.g. "client_isolation".
std::string_view name_of(Reach reach);

struct ReachDiagnosis {
  Reach cause = Reach::unclear;
  /// Links work in whichever direction a connection can be made: then it is slower to find, but works.
  bool works = false;
  Finding finding;
};

/// Same observations, same diagnosis.
ReachDiagnosis classify_reachability(const PeerObservations& seen);

}  // namespace caravan::doctor
