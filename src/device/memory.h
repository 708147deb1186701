// How much memory this device could give to a model right now.
#pragma once

#include <string_view>

#include "base/files.h"
#include "base/result.h"
#include "base/units.h"

namespace caravan::device {

/// MemAvailable of `<root>/proc/meminfo` (Linux 3.14+, documented in proc(5)): what can be allocated without
/// swapping. Blocks for one small file. Code::unavailable when the kernel hides it.
Result<Bytes> available_memory(const fs::path& root = "/");

/// The parser behind it.
Result<Bytes> parse_mem_available(std::string_view meminfo);

/// Processor cores that may be used, at least 1.
int core_count();

}  // namespace caravan::device
