// The system that src/device reads its facts from: this one, with helper programs run as children.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "device/system_view.h"

namespace caravan::app {

/// Where programs are looked for: the folders of $PATH, then those that hold helpers although it often lacks
/// them (Android's own, and the administrator's).
std::vector<fs::path> program_folders();

/// Runs the program to its end, found in one of `folders`, and gives back what it printed, at most 1 MiB.
/// Blocks, with an event loop of its own, for at most `deadline`; then it is killed. Errors as
/// device::RunProgram says.
Result<std::string> run_helper(const std::vector<fs::path>& folders,
                               const std::vector<std::string>& arguments, std::chrono::milliseconds deadline);

/// `storage` is the folder whose free space matters.
device::SystemView this_system(fs::path storage);

}  // namespace caravan::app
