// The node's control API: HTTP on a Unix socket that only this user can open. docs/control-api.md describes
// it.
//
//   GET  /v1/state       the NodeState
//   GET  /v1/events      NodeStates as lines of JSON: at once, on every change, and once a second
//   PUT  /v1/assignment  what this node is to run; 409 when a newer order is known
//   POST /v1/stop        ends the node
//   POST /v1/trace       where the time of tokens goes: trace_desk.h
//   /v1/cluster...       the cluster: cluster_api.h
#pragma once

#include <functional>

#include <boost/asio/awaitable.hpp>

#include "app/cluster_side.h"
#include "app/trace_desk.h"
#include "cluster/messages.h"
#include "engine/change.h"
#include "gateway/http_server.h"

namespace caravan::app {

/// What the API needs of the node. All are called on the event loop and must not block.
struct ControlPort {
  std::function<cluster::NodeState()> state;
  std::function<Result<void>(cluster::Assignment)> assign;
  std::function<void()> stop;
  engine::Change* change;          ///< notified whenever state() has changed; outlives the API
  ClusterSide* cluster = nullptr;  ///< null for a node without one; outlives the API
  TraceDesk* trace = nullptr;      ///< null: nothing can be traced; outlives the API
};

/// A Handler for HttpServer.
boost::asio::awaitable<void> handle_control(const ControlPort& port, gateway::Request request,
                                            gateway::Responder& responder);

}  // namespace caravan::app
