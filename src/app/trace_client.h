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

/// At most so many tokens, for at most so many seconds. Calls `on_tokens` with how many there are, at least
/// once a second. The errors are the node's own; Code::unavailable when it does not answer.
boost::asio::awaitable<Result<Trace>> ask_for_trace(fs::path socket, int tokens, int seconds,
                                                    std::function<void(int)> on_tokens);

}  // namespace caravan::app
