// Runs a node in this process to its end: until a signal, the end of whoever started it, or the control API
// ask for it. Shared by `caravan node` and `caravan up`.
#pragma once

#include <functional>

#include "app/node.h"
#include "base/result.h"
#include "cluster/messages.h"

namespace caravan::cli {

/// What the command says meanwhile. All are called on the node's event loop and must not block.
struct NodeEvents {
  std::function<void(const app::Node& node)> ready;
  std::function<void(const Error& error)> failed;  ///< it could not be started
  /// Every state, as its control API tells it: at once, on every change, once a second. May be empty.
  std::function<void(const cluster::NodeState& state)> state;
};

/// Blocks until the node has ended; the exit code. SIGINT, SIGTERM and SIGHUP end it in good order, however
/// often they come; `lifeline`: so does the end of file on descriptor 3. From here on a closed pipe is no
/// end.
int run_node(app::NodeOptions options, bool lifeline, const NodeEvents& events);

}  // namespace caravan::cli
