// Calls what a node's control API says and does about its cluster (cluster_api.h), over its Unix socket.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "base/json.h"
#include "base/result.h"

namespace caravan::app {

/// One node. Cheap to copy; every call opens its own connection and has a deadline. The errors are the node's
/// own, Code::unavailable when it does not answer.
class ClusterClient {
 public:
  explicit ClusterClient(fs::path socket) : socket_(std::move(socket)) {}

  boost::asio::awaitable<Result<Json>> view() const;
  /// POST /v1/cluster/`what`.
  boost::asio::awaitable<Result<Json>> ask(std::string what, Json body) const;
  /// Calls `on_view` for every view until it says false, or the connection ends: that is an error.
  boost::asio::awaitable<Result<void>> watch(std::function<bool(const Json&)> on_view) const;

 private:
  fs::path socket_;
};

}  // namespace caravan::app
