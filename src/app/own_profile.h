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

struct SpeedNeed {
  std::string reason;      ///< why it has to be measured (again), as a sentence; "": it need not
  bool was_quick = false;  ///< what is kept was measured in short
};
/// For this engine build. What can wait until no engine runs here is no reason unless `is_idle`. Blocks for a
/// few small files.
SpeedNeed need_of_speed(const std::string& build_id, bool is_idle);

}  // namespace caravan::app
