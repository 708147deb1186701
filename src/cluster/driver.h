// Carries out what the controller decides, on real nodes. The edge of the pure machine in controller.h.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cluster/controller.h"

namespace caravan::cluster {

/// How commands reach nodes: a Unix socket on this machine, a link on a network.
class NodePort {
 public:
  virtual ~NodePort() = default;
  virtual boost::asio::awaitable<Result<void>> assign(std::string device, Assignment assignment) = 0;
};

/// Feeds events to a controller in order and carries out its actions. One event loop; nothing blocks. Held by
/// shared_ptr, because a command that is under way may outlast its owner.
class Driver : public std::enable_shared_from_this<Driver> {
 public:
  Driver(boost::asio::any_io_executor executor, Controller controller, std::shared_ptr<NodePort> nodes,
         std::function<void(const Serving&)> on_serving);

  void post(Event event);
  /// Completes when the replica has ended.
  boost::asio::awaitable<Ended> run();

 private:
  static boost::asio::awaitable<void> assign(std::shared_ptr<Driver> self, Assign action);

  boost::asio::any_io_executor executor_;
  Controller controller_;
  std::shared_ptr<NodePort> nodes_;
  std::function<void(const Serving&)> on_serving_;
  std::deque<Event> events_;
  boost::asio::steady_timer wake_;
};

}  // namespace caravan::cluster
