// What a second, small model that guesses for the first would bring. Never decided here: how often the large
// one agrees is in no file, and is measured with both (docs/planner.md). Pure.
#pragma once

#include <string>

#include "model/gguf.h"
#include "plan/cluster.h"
#include "plan/plan.h"

namespace caravan::plan {

/// Tokens that llama-server lets a draft model guess when it is told nothing else (--spec-draft-n-max).
inline constexpr int kDraftTokens = 3;

struct DraftOutlook {
  std::string hindrance;  ///< why it cannot be; the rest says nothing then
  double often = 0;       ///< tokens/s when 4 of 5 guesses are right
  double seldom = 0;      ///< tokens/s when 2 of 5 are
  double break_even = 0;  ///< of guesses that have to be right for being as fast as without; above 1: never
  Bytes memory;           ///< that it takes on the master
};

/// `plan` is one replica of `model` on devices of `cluster`; `draft` computes on its master.
DraftOutlook draft_outlook(const model::ModelFacts& model, const model::ModelFacts& draft,
                           const Cluster& cluster, const Plan& plan);
/// In one sentence.
std::string describe(const DraftOutlook& outlook, const std::string& draft, const Plan& plan);

}  // namespace caravan::plan
