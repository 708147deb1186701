// Starts this program once more, in the background, and waits until it says that it is up or why it is not.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace caravan::cli {

/// `words` are its command line. It is expected to write one line of JSON to its stdout: {"event": "ready",
/// ...}, which is given back, or {"event": "failed", "error": {...}}, which becomes this error. Anything else
/// that it writes before it ends explains its end. Blocks until then, at most 30 seconds; then, and when
/// Ctrl-C is pressed, it is ended again. After an error it is gone.
Result<Json> start_in_background(const std::vector<std::string>& words);

}  // namespace caravan::cli
