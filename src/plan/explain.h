// Why a proposal is as it is, what there would be instead, and what is missing when nothing fits: in words
// and numbers. Pure.
#pragma once

#include <vector>

#include "plan/planner.h"
#include "plan/workload.h"

namespace caravan::plan {

/// Fills in reasons, devices left out and alternatives. `first_choice`: the usage that would have been taken
/// had it fitted.
void explain(Proposal& proposal, const model::ModelFacts& model, const Cluster& cluster, const Wishes& wishes,
             const Usage& first_choice);

/// `tries`: all that was tried, none of which fits.
Error nothing_fits(const model::ModelFacts& model, const Cluster& cluster, const Wishes& wishes,
                   const std::vector<Usage>& tries);

}  // namespace caravan::plan
