// Which build of the engine this process has.
#pragma once

#include <string>

namespace caravan::fabric {

/// "ggml 0.25.1 de3ff81". Both ends of a connection must have the same one: numbers of operations and types
/// are only equal within one build.
std::string engine_build();

}  // namespace caravan::fabric
