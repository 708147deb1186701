// Asks a node for a trace over its control socket: POST /v1/trace (trace_desk.h).
#pragma once

#include <functional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "base/json.h"
#include "base/result.h"
#include "trace/recording.h"

namespace caravan::app {

struct Trace {
  std::string model;  ///< as clients see it
  trace::Recording recording;
};

/// Tokens so far, and whether anything was computed at all since it was asked for.
using TraceProgress = std::function<void(int tokens, bool begun)>;

/// At most so many tokens, for at most so many seconds. Calls `on_progress` at least once a second. The
/// errors are the node's own; Code::unavailable when it does not answer.
boost::asio::awaitable<Result<Trace>> ask_for_trace(fs::path socket, int tokens, int seconds,
                                                    TraceProgress on_progress);

}  // namespace caravan::app
