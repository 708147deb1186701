// Where an engine's own ggml libraries are. A few file system look-ups; nothing is loaded.
#pragma once

#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace caravan::engine {

struct GgmlFiles {
  fs::path base;              ///< libggml-base.so
  std::vector<fs::path> cpu;  ///< libggml-cpu.so, or its variants (libggml-cpu-haswell.so ...), sorted
};

/// Looks beside the programs and in ../lib, as installed engines have it; also for names with a version
/// ("libggml-base.so.0"). Code::not_found with the cure when the engine was built without shared libraries.
Result<GgmlFiles> find_ggml(const fs::path& program_folder);

}  // namespace caravan::engine
