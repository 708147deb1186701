// What people see of a cluster: one JSON object from what the node knows. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/conditions.h"
#include "app/mesh.h"
#include "app/traffic_rates.h"
#include "base/json.h"
#include "cluster/band.h"
#include "cluster/card.h"
#include "cluster/messages.h"

namespace caravan::app {

struct ClusterFacts {
  const Roster* roster = nullptr;
  cluster::NodeState own;  ///< its `device` is this device's id
  std::vector<PeerView> peers;
  const std::map<std::string, cluster::NodeState>* states = nullptr;
  const std::map<std::string, cluster::NodeCard>* cards = nullptr;
  cluster::Condition own_condition;
  const Conditions* conditions = nullptr;
  const TrafficRates* traffic = nullptr;
  const std::map<std::string, cluster::DeviceBand>* bands = nullptr;
  TimePoint now;
  std::vector<link::Neighbour> neighbours;
  Json deployments;  ///< as Deployer::deployments() has them
  Json pairing;
  std::vector<std::string> news;
  std::vector<Error> problems;
  std::uint16_t link_port = 0;
};

/// {"cluster", "self", "devices": [...], "neighbours": [...], "controller", "epoch", "deployments": [...],
/// "pairing", "news", "problems"}
Json cluster_view(const ClusterFacts& facts);

}  // namespace caravan::app
