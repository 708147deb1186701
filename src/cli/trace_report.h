// What `caravan trace` shows: a table of where a token's time goes, measured and predicted, and drawings.
// Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "trace/summary.h"
#include "trace/timeline.h"

namespace caravan::cli {

/// What the cluster's view (docs/control-api.md) knows of what was traced.
struct TracePlan {
  std::vector<std::string> names;            ///< of the stages, as people know them
  std::vector<trace::Predicted> stages;      ///< as many
  std::optional<double> predicted_token_ms;  ///< by the planner
  std::optional<double> predicted_air_ms;    ///< of all ways of a token, without what handling takes
};

/// `model` as served, on the device whose view it is; `timeline` has the stages' names as the plan has them.
/// A view that knows nothing of it gives these names and no predictions.
TracePlan trace_plan(const Json& view, const std::string& model, const trace::Timeline& timeline);

/// `columns`: of the terminal, or what is usual.
std::vector<std::string> trace_lines(const trace::Timeline& timeline, const TracePlan& plan,
                                     const std::string& model, std::size_t columns);
/// The same for a program. docs/trace.md.
Json trace_json(const trace::Timeline& timeline, const TracePlan& plan, const std::string& model);

}  // namespace caravan::cli
