// A cluster as text, from what the node says of it (docs/control-api.md). Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace caravan::cli {

/// A line for the cluster, a table with a row for each device, then what is served, predicted and wrong.
/// Fields that are missing or of another type are shown as if they were not known.
std::vector<std::string> status_lines(const Json& view);

/// What is known of the deployment of that model; an empty one when there is none.
const Json& deployment_of(const Json& view, const std::string& model);

/// What is being done towards a deployment, in a few words: "loading smollm2-135m  45%".
std::string deployment_text(const Json& view, const Json& deployment);

/// A field of an object, or the fallback when it is missing or of another type.
std::string text_in(const Json& object, const char* field, const std::string& fallback = "");
double number_in(const Json& object, const char* field, double fallback = 0);
bool flag_in(const Json& object, const char* field);
/// A field that is an object or array; an empty one otherwise.
const Json& part_of(const Json& object, const char* field);

}  // namespace caravan::cli
