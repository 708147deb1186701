// The calls of the control API that are about the cluster. docs/control-api.md describes them.
//
//   GET  /v1/cluster                 what ClusterSide::view() says
//   GET  /v1/cluster/events          the same as lines of JSON: at once, on every change, and once a second
//   POST /v1/cluster/invite          {"code": bool} -> {"code": text} if one was asked for
//   POST /v1/cluster/confirm         {"digits": text, "same": bool}
//   POST /v1/cluster/uninvite
//   POST /v1/cluster/remove          {"device": text}
//   POST /v1/cluster/rename          {"device": text, "name": text}
//   POST /v1/cluster/promote         {"device": text}
//   POST /v1/cluster/leave
//   POST /v1/cluster/serve           see ClusterSide::serve
#pragma once

#include <boost/asio/awaitable.hpp>

#include "app/cluster_side.h"
#include "gateway/http_server.h"

namespace caravan::app {

/// For requests whose target begins with /v1/cluster.
boost::asio::awaitable<void> handle_cluster(ClusterSide& cluster, gateway::Request request,
                                            gateway::Responder& responder);

}  // namespace caravan::app
