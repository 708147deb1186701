// Reads a model and plans for it. Blocks for some milliseconds: for a worker thread.
#pragma once

#include <vector>

#include "base/files.h"
#include "cluster/plan_messages.h"
#include "plan/planner.h"

namespace caravan::app {

/// `model`: the file on this device. Errors as read_model_facts and plan::propose. Any thread.
Result<std::vector<plan::Plan>> make_plan(const fs::path& model, const cluster::PlanRequest& request);

/// Of a link whose bandwidth nobody has measured: by its round trip (seconds) it is a cable, or Wi-Fi.
plan::Link link_of(double round_trip);

}  // namespace caravan::app
