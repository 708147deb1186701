// Traces of the fabric on request: POST /v1/trace. Asks the module in this device's llama-server through a
// folder, tells how far it is, and passes its recording on. One at a time. docs/trace.md.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "base/json.h"
#include "base/result.h"
#include "cluster/messages.h"
#include "gateway/http_server.h"

namespace caravan::app {

/// Where the module of a node with that state folder is asked.
fs::path trace_folder(const fs::path& state_folder);
/// For a new module: nothing of an older trace is left.
Result<void> make_empty_trace_folder(const fs::path& state_folder);
void remove_trace_folder(const fs::path& state_folder);

/// What can be traced here.
struct TraceTarget {
  fs::path folder;
  cluster::Order order;  ///< of what runs: another one is another engine
  std::string model;
  int parallel = 1;
};

/// Of a node in `state`, which follows `assignment` (null: none); `view`: its cluster's, null without one.
/// The error says why there is nothing to trace, and what to do. Pure.
Result<TraceTarget> trace_target(const cluster::NodeState& state, const cluster::Assignment* assignment,
                                 const fs::path& state_folder, const Json& view);

/// One event loop.
class TraceDesk {
 public:
  /// `traced` is called with the module's recording, one line of JSON, of each trace that comes to its end.
  TraceDesk(std::function<Result<TraceTarget>()> find,
            std::function<void(const TraceTarget&, const std::string& recording)> traced)
      : find_(std::move(find)), traced_(std::move(traced)) {}
  TraceDesk(const TraceDesk&) = delete;
  TraceDesk& operator=(const TraceDesk&) = delete;

  /// Answers one call. Ends the trace when the client goes.
  boost::asio::awaitable<void> handle(gateway::Request request, gateway::Responder& responder);

 private:
  boost::asio::awaitable<void> follow(TraceTarget target, std::string id, int seconds,
                                      gateway::Responder& responder);
  Result<void> still_there(const TraceTarget& target) const;

  std::function<Result<TraceTarget>()> find_;
  std::function<void(const TraceTarget&, const std::string& recording)> traced_;
  bool busy_ = false;
};

}  // namespace caravan::app
