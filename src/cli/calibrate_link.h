// `caravan calibrate --link`: measures the network between two devices, by hand and without a cluster.
#pragma once

#include <string>

#include "base/result.h"
#include "link/link_speed.h"

namespace caravan::cli {

/// Waits on "HOST:PORT" (only "PORT": on 127.0.0.1; port 0: chosen by the system) for one device, answers it
/// and ends; after 60 s without one it ends too. Says on stderr where it listens. Blocks. Returns an exit
/// code.
int listen_for_link(const std::string& address);

/// Measures towards a device that listens there. Blocks. Returns an exit code.
int measure_link_to(const std::string& address, bool json);

/// "round trip 4.7 ms (95 %: 12 ms), 24.0 MB/s there, 23.0 MB/s back".
std::string describe(const link::LinkSpeed& speed);

}  // namespace caravan::cli
