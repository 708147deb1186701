// A cluster of several nodes on this machine, each a process of its own with its own state folder and memory
// budget. Starts them, runs a deployment over them through the controller, and leaves nothing behind.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "cluster/controller.h"
#include "cluster/messages.h"
#include "plan/plan.h"

namespace caravan::app {

struct LocalClusterOptions {
  fs::path program;    ///< the caravan executable
  std::string engine;  ///< folder of the engine's programs
  std::vector<plan::DeviceOffer> devices;
  /// Port of the API of the device that will be the master; nothing: 8080 if it is free, else chosen by the
  /// system.
  std::optional<std::uint16_t> api_port;
};

/// Called on the event loop.
struct LocalClusterEvents {
  std::function<void(const cluster::NodeState&)> on_state;  ///< every report of every node
  std::function<void(const cluster::Serving&)> on_serving;
};

/// One event loop. Destroying it kills whatever still runs; stop() does it in good order.
class LocalCluster {
 public:
  LocalCluster(boost::asio::any_io_executor executor, LocalClusterOptions options, LocalClusterEvents events);
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  /// Starts all nodes and waits until each answers.
  boost::asio::awaitable<Result<std::vector<cluster::NodeState>>> start();

  /// Runs the deployment until it ends: by end_deployment(), or because something failed. Then another one
  /// may be run.
  boost::asio::awaitable<std::optional<Error>> run(cluster::Deployment deployment);
  void end_deployment();
  /// No node has ended.
  bool is_whole() const;

  /// Asks the node itself.
  boost::asio::awaitable<Result<cluster::NodeState>> state_of(std::string device) const;

  /// Ends all nodes: asks, waits a little, kills. Removes their folders.
  boost::asio::awaitable<void> stop();

  /// Where the nodes keep their state, one folder a device.
  const fs::path& folder() const;

 private:
  struct Inner;
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::app
