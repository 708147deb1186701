// What a trace shows of the ways between a replica's devices: how long they take over what the air takes, in
// place of the planner's guess. docs/planner.md. But for the two that say so, pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/json.h"
#include "base/result.h"

namespace caravan::app {

/// Seconds of a token that it is between devices, by a recording of the fabric's module. Nothing when that is
/// none, or has too few whole tokens. Takes milliseconds, for the largest ones a tenth of a second.
std::optional<double> time_between(std::string_view recording);

/// Of each way of the replica of `model` whose master is `master`, seconds beyond what its air is planned
/// with: from 0 to plan::kMostHandling. `deployments` as Deployer::deployments() has them. Nothing when that
/// replica is not there, or its plan says nothing of the air.
std::optional<double> handling_of(double between, const Json& deployments, const std::string& model,
                                  const std::string& master);

/// Kept from start to start: a file of a few bytes. Both block; nothing when it is not there or wrong.
std::optional<double> load_handling(const fs::path& file);
Result<void> save_handling(const fs::path& file, double seconds);

}  // namespace caravan::app
