// Every layout of a few devices, to hold the chosen one against: brute force. Pure.
#pragma once

#include <vector>

#include "base/result.h"
#include "model/gguf.h"
#include "plan/cluster.h"
#include "plan/plan.h"
#include "plan/workload.h"

namespace caravan::plan {

inline constexpr std::size_t kMostToEnumerate = 3;  ///< devices: the layouts of more are too many
inline constexpr std::size_t kMostLayersToEnumerate = 64;

/// Each master, each set and order of workers that it reaches, each cut into whole layers (each worker has at
/// least one, the master perhaps none), both places of the head; those that fit into everybody's memory, with
/// what is predicted of each, in no order that means anything. Code::invalid with too many devices or layers.
Result<std::vector<Plan>> every_layout(const model::ModelFacts& model, const Cluster& cluster,
                                       const Usage& usage);

}  // namespace caravan::plan
