// Tells the network that this device is there and keeps track of who else is: the beacon's schedule, its
// limits and the table of neighbours, put together on the node's loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "link/announcer.h"
#include "link/arrival_limit.h"
#include "link/beacon.h"
#include "link/beacon_socket.h"
#include "link/neighbours.h"

namespace caravan::link {

struct DiscoveryTiming {
  AnnouncerTiming announcer;
  NeighbourLimits neighbours;
  ArrivalRates arrivals;
  std::chrono::milliseconds rescan{5'000};  ///< between two looks at the interfaces
};

/// On one loop of one thread. Must outlive run().
class Discovery {
 public:
  /// `changed` is called on the loop whenever neighbours() tells something else than before; it may call
  /// anything here.
  Discovery(std::unique_ptr<BeaconSocket> socket, const asio::any_io_executor& executor, Beacon self,
            std::function<void()> changed, DiscoveryTiming timing = {});

  /// Until stop(). A family whose socket fails is heard no more.
  asio::awaitable<void> run();
  void stop();

  /// What is told about this device from now on: its name, its cluster, whether pairing is open.
  void announce(Beacon self);
  /// While looking, beacons go out often and ask everybody who hears them to answer.
  void look(bool looking);

  NeighbourTable& neighbours() { return neighbours_; }
  const BeaconSocket& socket() const { return *socket_; }

 private:
  asio::awaitable<void> listen(Family family);
  asio::awaitable<void> tell();
  void take(const Datagram& datagram);
  TimePoint next_deadline() const;

  std::unique_ptr<BeaconSocket> socket_;
  asio::steady_timer timer_;
  Beacon self_;
  std::function<void()> changed_;
  DiscoveryTiming timing_;
  Announcer announcer_;
  ArrivalLimit limit_;
  NeighbourTable neighbours_;
  TimePoint rescan_at_;
  bool stopped_ = false;
};

}  // namespace caravan::link
