// The devices that a command plans for: those of a devices file, or this one.
#pragma once

#include <string>

#include "base/result.h"
#include "plan/cluster.h"

namespace caravan::cli {

/// `devices_file`: a path, or "" for this device alone, with the speeds that `caravan calibrate` has measured
/// and the memory that is free now. Blocks for small files.
Result<plan::Cluster> cluster_from(const std::string& devices_file);

}  // namespace caravan::cli
