// Are the ports free that Caravan wants on this device, and who has them?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "doctor/check.h"

namespace caravan::doctor {

/// The defaults of the design.
struct WantedPorts {
  std::uint16_t api = 8080;                                    ///< TCP on 127.0.0.1
  std::uint16_t link = 7433;                                   ///< TCP and UDP on all addresses
  std::vector<std::uint16_t> rpc{50052, 50053, 50054, 50055};  ///< TCP on 127.0.0.1
};

struct PortUse {
  std::uint16_t port = 0;
  bool udp = false;
  std::optional<Error> taken;  ///< why it cannot be had; nothing: it is free
  std::string program;         ///< of its holder; empty: not known
  std::string owner;           ///< the same for people, with its process
};

struct PortState {
  PortUse api;
  PortUse link;
  PortUse beacon;
  std::vector<PortUse> rpc;
};

/// Pure.
Finding api_port(const PortState& state);
Finding link_port(const PortState& state);
Finding rpc_ports(const PortState& state);

/// Binds each port for an instant, without listening. `root` is where /proc is.
PortState read_port_state(const fs::path& root, const WantedPorts& wanted);

Step port_step(fs::path root);

}  // namespace caravan::doctor
