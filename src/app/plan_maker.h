// Reads a model and plans for it. Blocks for some milliseconds: for a worker thread.
#pragma once

#include <optional>
#include <vector>

#include "base/files.h"
#include "cluster/plan_messages.h"
#include "plan/planner.h"

namespace caravan::app {

/// `model`: the file on this device. Errors as read_model_facts and plan::propose. Any thread.
cluster::Planned make_plan(const fs::path& model, const cluster::PlanRequest& request);

/// Round trip in seconds, bandwidth in bytes/s. Where nobody has measured that, it is a cable's or Wi-Fi's,
/// by the round trip.
plan::Link link_of(double round_trip, std::optional<double> bandwidth = std::nullopt);

}  // namespace caravan::app
