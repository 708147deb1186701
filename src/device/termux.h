// The programs of Termux:API: the only ones that tell an Android app about battery and Wi-Fi.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "device/source.h"
#include "device/system_view.h"

namespace caravan::device {

/// Reads a JSON object of at most 64 KiB; {"API_ERROR": "..."} is Code::unavailable with that text.
Result<Json> parse_termux_object(std::string_view text);

/// A number in the field, also one that is written as text.
std::optional<double> number_in(const Json& object, const char* field);
/// The text in the field, or "".
std::string text_in(const Json& object, const char* field);

/// What to do so that `program` can be asked, given how it failed.
HiddenFact hidden_behind_termux(std::string fact, const Error& error, bool termux);

}  // namespace caravan::device
