// Runs checks side by side, each with a time limit, and tells the findings in a stable order.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "doctor/check.h"
#include "doctor/finding.h"

namespace caravan::doctor {

struct CheckupResult {
  Tally tally;
  /// A step still runs on a thread that nobody waits for. The process must end without its destructors
  /// (std::_Exit), or wait until the thread has ended by itself.
  bool hangs = false;
};

/// Runs the steps at once and blocks for at most their longest limit. Steps without a check in `only` are not
/// run; an empty `only` means all. `on_diagnosis` is called on this thread, in the steps' order, as soon as a
/// finding and all before it are known. A step that has not ended within its limit, or that throws, is a
/// problem of each of its checks.
CheckupResult run_checkup(const std::vector<Step>& steps, const std::set<std::string>& only,
                          const std::function<void(const Diagnosis&)>& on_diagnosis);

}  // namespace caravan::doctor
