// A check is a name and a pure function from facts to a finding; a step reads facts once for all checks that
// are made of them.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "doctor/finding.h"

namespace caravan::doctor {

struct CheckInfo {
  std::string_view name;  ///< kebab-case, never changed: scripts name it
  std::string_view what;  ///< what is looked at, in a few words
};

template <typename Facts>
struct Check {
  CheckInfo info;
  Finding (*diagnose)(const Facts&);
};

/// What is run at once, on a thread of its own.
struct Step {
  std::vector<CheckInfo> checks;
  std::chrono::milliseconds limit{};  ///< longer than that it hangs
  /// A finding for each of `checks`, in their order. Blocks. Owns what it needs: it may go on after its
  /// limit, when whoever started it is gone.
  std::function<std::vector<Finding>()> run;
};

/// `read` gets the facts; it may block and must hold its own copies of what it needs.
template <typename Facts, typename Read>
Step make_step(std::vector<Check<Facts>> checks, std::chrono::milliseconds limit, Read read) {
  Step step;
  step.limit = limit;
  for (const Check<Facts>& check : checks) step.checks.push_back(check.info);
  step.run = [checks = std::move(checks), read = std::move(read)]() {
    const Facts facts = read();
    std::vector<Finding> findings;
    findings.reserve(checks.size());
    for (const Check<Facts>& check : checks) findings.push_back(check.diagnose(facts));
    return findings;
  };
  return step;
}

}  // namespace caravan::doctor
