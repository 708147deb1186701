// A share of every layer on each device instead of whole layers (tensor parallelism), as the fabric does it:
// what that would give. A candidate that is explained and not chosen, as nobody starts it yet
// (docs/planner.md). Pure.
#pragma once

#include <string>
#include <vector>

#include "plan/cluster.h"
#include "plan/plan.h"
#include "plan/workload.h"

namespace caravan::plan {

struct TensorOutlook {
  std::string hindrance;             ///< why it cannot be; the rest says nothing then
  std::vector<std::size_t> devices;  ///< the master first
  double decode = 0;                 ///< tokens/s of all sequences together
  double prefill = 0;                ///< tokens/s
  int sums = 0;                      ///< over all devices, in each step
  double sum = 0;                    ///< seconds that one of them takes
};

/// One step in which there are `tokens` in all: equal shares of each layer, the head on the first device.
/// Each two of them have to reach each other.
double tensor_step_seconds(const Workload& work, const Cluster& cluster,
                           const std::vector<std::size_t>& devices, int tokens);
/// Of that, one sum.
double tensor_sum_seconds(const Workload& work, const Cluster& cluster,
                          const std::vector<std::size_t>& devices, int tokens);

/// The best of the two to four fastest devices that reach each other and have room.
TensorOutlook tensor_outlook(const Workload& work, const Cluster& cluster, const Usage& usage);
/// In one sentence, against what is planned; empty where there is nothing to say.
std::string describe(const TensorOutlook& outlook, const Cluster& cluster, const Plan& plan);

}  // namespace caravan::plan
