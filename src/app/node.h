// The node: one process a device. It runs the engine program that its assignment asks for, serves the API,
// and answers its controller on a Unix socket.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "app/cluster_side.h"
#include "base/files.h"
#include "base/result.h"
#include "base/units.h"
#include "engine/http_client.h"

namespace caravan::app {

struct NodeOptions {
  std::string device;      ///< its name, unique in the cluster
  fs::path state_folder;   ///< node.sock and engine.log; made when it is not there
  Bytes memory;            ///< what the engine may use on this device
  engine::TcpAddress api;  ///< port 0: chosen by the system
  std::string engine;      ///< folder of the engine's programs, empty: search
  /// Nothing: a node for its controller on this machine only, without links.
  std::optional<ClusterOptions> cluster;
  bool ephemeral = false;  ///< remove the state folder at the end, and its parent once that is empty
};

/// Where a node with that state folder answers its controller.
fs::path control_socket(const fs::path& state_folder);

/// Everything runs on the executor's event loop, one thread.
class Node {
 public:
  /// Finds the engine, opens the control socket and the API. After that the node answers; it has no role yet.
  static boost::asio::awaitable<Result<std::unique_ptr<Node>>> start(boost::asio::any_io_executor executor,
                                                                     NodeOptions options);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Follows assignments until stop() is called, here or through the control API; then ends the engine,
  /// closes both servers and, when ephemeral, removes the state folder.
  boost::asio::awaitable<void> run();
  void stop();

  std::string api_url() const;

 private:
  struct Inner;
  explicit Node(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::app
