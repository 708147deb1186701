// A helper program run to its end, for pip and Python. Blocks. (Long-lived children are the engine's
// business.)
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace caravan::model {

struct ChildSpec {
  std::vector<std::string> arguments;  ///< the program, searched in $PATH, then what it gets; never a shell
  std::map<std::string, std::string> environment;  ///< added to ours
  std::string working_folder;                      ///< "" for ours
};

struct ChildHooks {
  /// What it writes to its standard output, as it comes. An error stops the child and becomes run_child's.
  std::function<Result<void>(std::string_view bytes)> on_output;
  /// Called about five times a second. True stops the child; run_child then returns Code::interrupted.
  std::function<bool()> tick;
};

struct ChildEnd {
  int exit_code = 0;   ///< 128 + signal when a signal ended it
  std::string errors;  ///< the last 8 KiB that it wrote to its standard error
};

/// Code::not_found when there is no such program. The child has its own process group and no standard input;
/// it is killed with all its group when this returns early, and by the kernel when we die.
Result<ChildEnd> run_child(const ChildSpec& spec, const ChildHooks& hooks);

}  // namespace caravan::model
