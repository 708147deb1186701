// Calls a node's control API over its Unix socket. What the command line and the controller's driver talk
// through.
#pragma once

#include <functional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "cluster/messages.h"

namespace caravan::app {

/// One node. Cheap to copy; every call opens its own connection and has a deadline.
class NodeClient {
 public:
  explicit NodeClient(fs::path socket) : socket_(std::move(socket)) {}

  boost::asio::awaitable<Result<cluster::NodeState>> state() const;
  boost::asio::awaitable<Result<void>> assign(cluster::Assignment assignment) const;
  /// Asks it to end; it has agreed when this returns, and ends a moment later.
  boost::asio::awaitable<Result<void>> stop() const;
  /// Calls `on_state` for every state that the node reports until the connection ends; returns why it ended.
  boost::asio::awaitable<Error> watch(std::function<void(cluster::NodeState)> on_state) const;

 private:
  fs::path socket_;
};

}  // namespace caravan::app
