// A hash over an engine's programs and libraries: the same for the same build only.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/locate.h"

namespace caravan::engine {

/// The first 12 hexadecimal digits of a SHA-256. Blocks: it reads all of them, some 20 to 100 MB.
Result<std::string> engine_fingerprint(const EngineFiles& files);

}  // namespace caravan::engine
