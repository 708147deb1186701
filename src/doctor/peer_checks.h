// The other devices of the cluster, as this device's running node sees them: who is not linked and why, who
// is far away, and who holds another membership.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "doctor/check.h"
#include "doctor/reachability.h"

namespace caravan::doctor {

struct PeerState {
  std::string name;
  bool linked = false;
  std::optional<double> round_trip_ms;
  PeerObservations seen;          ///< for one that is not linked
  std::string tried;              ///< what was tried in both directions, for people; empty: nothing yet
  std::optional<double> version;  ///< of the membership that it holds
  std::optional<double> differs;  ///< for so many seconds it has held another than this device
};

struct PeersState {
  std::optional<Error> unknown;  ///< why nothing is known: this device's node is not up
  bool member = true;
  double version = 0;  ///< of the membership that this device holds
  std::vector<NetworkAddress> ours;
  std::vector<PeerState> peers;
};

/// From the node's view of the cluster (docs/control-api.md). Fields that are missing or of another type are
/// taken for not known. Pure.
PeersState peers_from(const Json& view);

/// Pure.
Finding peers_linked(const PeersState& state);
Finding peers_near(const PeersState& state);
Finding membership_agrees(const PeersState& state);

/// The view of this device's node; Code::unavailable without a node. Blocks for some seconds at most.
using ReadClusterView = std::function<Result<Json>()>;

Step peer_step(ReadClusterView view);

}  // namespace caravan::doctor
