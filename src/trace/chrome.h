// A timeline in the format that chrome://tracing, Perfetto (ui.perfetto.dev) and speedscope read: Google's
// "Trace Event Format", JSON object form, complete events ("X"; ts and dur in microseconds) and metadata
// ("M"). Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "trace/timeline.h"

namespace caravan::trace {

/// Process 0 is the master, 1 the first stage and so on. `names` of the stages.
Json chrome_trace(const Timeline& timeline, const std::vector<std::string>& names);

}  // namespace caravan::trace
