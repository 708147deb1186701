// Does the router of a network answer? Tells an access point that keeps its clients apart from a network in
// which nobody else is on.
#pragma once

#include <string>
#include <vector>

#include "doctor/reachability.h"

namespace caravan::doctor {

/// Where the routers of home networks are, since phones hide their routes from apps: the network's first
/// address, and its last. Of IPv4 networks with a prefix of 16 to 30; never one of `own` or `others`, which
/// are devices.
std::vector<std::string> likely_routers(const std::vector<NetworkAddress>& own,
                                        const std::vector<NetworkAddress>& others);

/// Whether one of them answers a TCP connection to port 53, 80 or 443, by taking or by refusing it. Nothing
/// is sent over it. Blocks for at most a second.
bool router_answers(const std::vector<NetworkAddress>& own, const std::vector<NetworkAddress>& others);

}  // namespace caravan::doctor
