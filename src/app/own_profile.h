// This device as the planner sees it: its memory now, and its speed as `caravan calibrate` has measured it.
#pragma once

#include <string>

#include "base/result.h"
#include "base/units.h"
#include "plan/cluster.h"

namespace caravan::app {

/// With the thread count that decodes fastest. Code::not_found when nothing was measured yet, otherwise the
/// errors of device::load_speed. Blocks for one small file.
Result<plan::DeviceProfile> own_profile(std::string name, Bytes memory);

/// Why its speed has to be measured (again) for this engine build, as a sentence; "" when it need not.
std::string why_calibrate(const std::string& engine_build);

}  // namespace caravan::app
