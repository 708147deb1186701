// Is there memory for a model, what limits it, and is the device swapping?
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "device/memory.h"
#include "doctor/check.h"
#include "model/catalogue.h"

namespace caravan::doctor {

/// SwapTotal and SwapFree of /proc/meminfo (proc_meminfo(5)); on Android it is compressed memory (zram).
struct SwapFacts {
  Bytes total;
  Bytes free;
};
/// Nothing when they are not there, or there is no swap.
std::optional<SwapFacts> parse_swap(std::string_view meminfo);

struct MemoryState {
  device::MemoryFacts memory;
  std::optional<SwapFacts> swap;
  Result<model::Catalogue> catalogue;
  bool android = false;
};

/// Pure.
Finding memory_for_models(const MemoryState& state);
Finding memory_limit(const MemoryState& state);
Finding memory_swap(const MemoryState& state);

MemoryState read_memory_state(const fs::path& root);

Step memory_step(fs::path root);

}  // namespace caravan::doctor
