#include "fabric/ops/engine.h"

#include <fmt/format.h>
#include <ggml.h>

namespace caravan::fabric {

std::string engine_build() { return fmt::format("ggml {} {}", ggml_version(), ggml_commit()); }

}  // namespace caravan::fabric
