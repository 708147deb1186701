// A device's profile for the planner from what calibration has measured. Pure.
#pragma once

#include <string>

#include "base/result.h"
#include "device/speed.h"
#include "plan/cluster.h"

namespace caravan::plan {

/// The rates measured at `threads` threads, which must be one of the counts that were measured; and those of
/// the other counts, for the planner to choose from, unless `only` that one is wanted. Types that were
/// measured in the plain layout only have the same rates repacked. A quota of less than one processor slows
/// down the rates of one thread, which count processor time. Code::not_found when nothing was measured at
/// that count.
Result<DeviceProfile> profile_from(std::string name, Bytes memory, const device::Speed& speed, int threads,
                                   bool only = false);

}  // namespace caravan::plan
