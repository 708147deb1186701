// Plans are made where the model's file is: how a controller without it asks a device that has it, and the
// answer. JSON, named, versioned, length-checked; docs/protocol.md lists every field. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cluster/desired.h"
#include "cluster/fulfilment.h"
#include "plan/cluster.h"

namespace caravan::cluster {

inline constexpr int kPlanMessageVersion = 1;

struct PlanRequest {
  std::uint64_t number = 0;  ///< of the MakePlan
  Wish wish;
  plan::Cluster devices;             ///< named by id
  std::vector<std::string> holders;  ///< who can be master; names that are not among them count for nothing
  std::vector<std::string> fabric;   ///< who has the fabric's programs
  std::vector<plan::Plan> running;   ///< to be predicted again
  /// Devices to be taken for slower than they are: part of their speed, above 0 and at most 1.
  std::map<std::string, double> slow;
};

Json to_json(const PlanRequest& request);
/// Code::invalid names the wrong field, Code::incompatible for a newer version.
Result<PlanRequest> plan_request_from_json(const Json& value);

/// Without what a plan says of devices that are left out.
Json to_json(const Planned& planned);
/// As plan_request_from_json. Ranks and layers are contiguous, and a device is there once.
Result<Planned> planned_from_json(const Json& value);

}  // namespace caravan::cluster
