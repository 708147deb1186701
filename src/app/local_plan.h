// What a plan for nodes that are all on this machine is expected to do, by what `caravan calibrate` has kept.
#pragma once

#include <string>

#include "base/files.h"
#include "base/json.h"
#include "base/result.h"
#include "device/speed.h"
#include "model/gguf.h"
#include "plan/plan.h"

namespace caravan::app {

/// The same plan, through the fabric with so many threads for each device, with its speeds and those of each
/// share. Where `speed` has nothing measured with so many threads it stays as it is. Pure.
plan::Plan predicted_here(const model::ModelFacts& model, plan::Plan plan, const device::Speed& speed,
                          int threads);

/// For `caravan trace` of a node that is in no cluster, and so has no view: a file in the master's state
/// folder, with what it reads of a view. Both block.
Result<void> leave_plan(const fs::path& state_folder, const std::string& model, const plan::Plan& plan);
/// Null when there is none.
Json plan_left(const fs::path& state_folder);

}  // namespace caravan::app
