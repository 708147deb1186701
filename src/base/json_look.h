// Looks into JSON that may have any shape, for showing it: what is missing or of another type is as if it
// were not there. What is acted upon is read with Fields (json.h), which says what is wrong.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"

namespace caravan {

/// A field of an object, or the fallback when it is missing or of another type.
std::string text_in(const Json& object, const char* field, const std::string& fallback = "");
double number_in(const Json& object, const char* field, double fallback = 0);
std::optional<double> maybe_number_in(const Json& object, const char* field);
bool flag_in(const Json& object, const char* field);
/// A field that is an object or array; an empty array otherwise.
const Json& part_of(const Json& object, const char* field);

}  // namespace caravan
