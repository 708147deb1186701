// How good the link between two devices is, as numbers. Pure.
#pragma once

#include <chrono>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace caravan::link {

using Seconds = std::chrono::duration<double>;

/// Seen from the device that measured.
struct LinkSpeed {
  Seconds round_trip_median{};
  Seconds round_trip_p95{};
  double upload = 0;    ///< bytes a second towards the other device
  double download = 0;  ///< bytes a second from it
};

Json to_json(const LinkSpeed& speed);
/// Code::invalid with the field that is wrong.
Result<LinkSpeed> link_speed_from_json(const Json& value);

/// The smallest sample that at least that part (0 to 1) of all samples does not exceed (nearest rank); zero
/// for none.
Seconds percentile(std::vector<Seconds> samples, double part);

}  // namespace caravan::link
