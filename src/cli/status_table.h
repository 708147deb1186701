// A cluster as text, from what the node says of it (docs/control-api.md). Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/json_look.h"

namespace caravan::cli {

/// A line for the cluster, a table with a row for each device, then what is served, predicted, measured and
/// wrong. The table is at most `most` places wide, if that can be. Fields that are missing or of another type
/// are shown as if they were not known.
std::vector<std::string> status_lines(const Json& view, std::size_t most = 80);

/// What is known of the deployment of that model; an empty one when there is none.
const Json& deployment_of(const Json& view, const std::string& model);

/// What is being done towards a deployment, in a few words: "loading smollm2-135m  45%".
std::string deployment_text(const Json& view, const Json& deployment);

}  // namespace caravan::cli
