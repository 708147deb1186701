// What a plan that runs is expected to do now, after devices or links have been measured again. Pure.
#pragma once

#include <optional>

#include "model/gguf.h"
#include "plan/cluster.h"
#include "plan/plan.h"

namespace caravan::plan {

/// The same layout and the same threads, with speeds as `cluster` has them now. A number of threads that a
/// device does not have any more, because less of its processor may be used, makes it so much slower as there
/// are too many: they wait for each other. Nothing when a device is not in the cluster, has no link to the
/// master, or when the plan is not of this model.
std::optional<Plan> predict_again(const model::ModelFacts& model, const Cluster& cluster, Plan plan);

}  // namespace caravan::plan
