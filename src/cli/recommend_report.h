// Recommended models, as a table for people and as JSON for programs. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "model/catalogue.h"
#include "plan/recommend.h"

namespace caravan::cli {

/// Of `found`: "caravan models pull NAME" when the catalogue has that model, with the quantization that it
/// has it in; nothing when it does not have it.
struct PullLine {
  std::string command;
  std::string quantization;
  Bytes size;
  bool is_exact = false;  ///< the quantization that was recommended
};
std::optional<PullLine> pull_line(const plan::Recommendation& found, const model::Catalogue& catalogue);

/// For terminals of 100 columns.
std::string recommend_text(const plan::Recommendations& found, const plan::Cluster& cluster,
                           const plan::RecommendWishes& wishes, const model::Catalogue& catalogue);
Json recommend_json(const plan::Recommendations& found, const plan::Cluster& cluster,
                    const plan::RecommendWishes& wishes, const model::Catalogue& catalogue);

/// "latency", "throughput" or "fit".
std::string_view name_of(plan::Objective objective);

}  // namespace caravan::cli
