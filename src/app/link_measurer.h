// Measures the bandwidth of this node's links, through tunnels of the link as the engine uses them, and
// answers others that do.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "cluster/condition.h"
#include "link/measure_schedule.h"
#include "link/tunnel.h"

namespace caravan::app {

/// What the other end of a tunnel is called that leads to who answers a measurement.
inline constexpr const char* kMeasureTarget = "measure";

/// Called on the loop.
struct LinkMeasurerPort {
  std::function<Result<std::unique_ptr<link::Tunnel>>(const std::string& device)> tunnel;
  /// Nothing goes on in the cluster that a measurement would disturb.
  std::function<bool()> is_quiet;
  std::function<void(const cluster::MeasuredLink&)> measured;
};

/// One event loop. A measurement takes about a second and at most 8 MiB in all.
class LinkMeasurer {
 public:
  LinkMeasurer(boost::asio::any_io_executor executor, const std::string& self, LinkMeasurerPort port);
  ~LinkMeasurer();
  LinkMeasurer(const LinkMeasurer&) = delete;
  LinkMeasurer& operator=(const LinkMeasurer&) = delete;

  void linked(const std::string& device);
  void lost(const std::string& device);
  void forget(const std::string& device);

  /// A loopback port where this device answers one measurement of that device, within a few seconds.
  /// Code::unavailable while anything else goes on.
  Result<std::uint16_t> answer(const std::string& device);

  /// Until cancelled.
  boost::asio::awaitable<void> run();

 private:
  struct Inner;
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::app
