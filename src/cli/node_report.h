// How a node's state is told to a person: what it does in a few words, and the lines of `caravan up`. Pure.
#pragma once

#include <string>
#include <vector>

#include "cluster/messages.h"

namespace caravan::cli {

/// "waits for a model", "loads smollm2-135m: 45%", "serves smollm2-135m", "worker, ready", or what failed.
std::string activity_of(const cluster::NodeState& state);

/// A line a fact, the first without indentation: name and what it does.
std::vector<std::string> lines_of(const cluster::NodeState& state);

/// Whether there is something to tell that was not told with `before`; progress counts in steps of 10 %.
bool is_news(const cluster::NodeState& before, const cluster::NodeState& now);

}  // namespace caravan::cli
