// What is measured of an engine's kernels, in which order, and what is left out when time runs short. Runs in
// the measuring child only (see ggml_library.h); blocks for up to its budget.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "base/units.h"
#include "engine/kernel_lines.h"

namespace caravan::engine {

struct KernelTask {
  fs::path programs;         ///< the folder of the engine's programs
  std::vector<int> threads;  ///< ascending; the last one counts as "all"
  Bytes pool;                ///< of matrices to go through in turn: more than the caches hold
  std::chrono::duration<double> budget{15};
  /// How much longer than twice the budget the child may take before it is ended: a busy machine, a slow
  /// disk.
  std::chrono::milliseconds patience{15'000};
  bool quick = false;  ///< only the types that most models are made of
};

/// Hands out each line as soon as it is known; KernelsDone is the last one. What many models need comes
/// first: when the budget ends, the rest is KernelSkipped. Errors: see find_ggml and load_ggml;
/// Code::exhausted for too little memory.
Result<void> measure_kernels(const KernelTask& task, const std::function<void(const KernelLine&)>& on_line);

}  // namespace caravan::engine
