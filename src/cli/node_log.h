// The log of this device's node: a file of bounded size in its state folder, with the one before it.
#pragma once

#include "base/files.h"
#include "base/result.h"

namespace caravan::cli {

fs::path node_log_path(const fs::path& state_folder);

/// From here on spdlog's default logger writes there. A file over 1 MiB becomes "node.1.log", now and
/// whenever it has grown that long. Only for who holds the node's lock.
Result<void> open_node_log(const fs::path& state_folder);

/// Sends what this process writes to one of its standard streams (1 or 2) to the log as well.
Result<void> redirect_to_node_log(const fs::path& state_folder, int stream);

}  // namespace caravan::cli
