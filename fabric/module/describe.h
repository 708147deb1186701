// A graph of ggml as the protocol writes it: numbers instead of pointers.
#pragma once

#include <ggml.h>

#include "base/result.h"
#include "fabric/module/device.h"
#include "fabric/wire/graph.h"

namespace caravan::fabric {

/// Code::bug when a tensor of it is not in the memory of `device`.
Result<Graph> describe(const ggml_cgraph& graph, const StageDevice& device, std::uint64_t id);

}  // namespace caravan::fabric
