// Does a program of the engine listen where the whole network can reach it? ggml's RPC server has no
// protection at all: whoever reaches its port can read and crash it. llama-server has none without a key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "device/system_view.h"
#include "doctor/check.h"

namespace caravan::doctor {

/// Something that accepts connections at an address of this device that others can reach.
struct OpenPort {
  std::string address;
  std::uint16_t port = 0;
  std::string program;  ///< empty: not known
  int pid = 0;          ///< 0: not known
};

/// What such a port answered to GET /props, which llama-server gives only to those who have its key.
struct OpenServer {
  OpenPort where;
  unsigned status = 0;
  std::string server;  ///< the header of that name
};

struct ExposureState {
  Result<std::vector<device::Address>> addresses;
  std::vector<OpenPort> rpc;
  std::vector<OpenServer> servers;
};

/// Pure.
Finding rpc_exposed(const ExposureState& state);
Finding llama_exposed(const ExposureState& state);

struct ExposurePorts {
  std::vector<std::uint16_t> rpc{50052, 50053, 50054, 50055};
  std::vector<std::uint16_t> http{8080};
};

/// Connects to this device's own addresses only, and to `ports` and those where /proc shows a program of the
/// engine. An RPC server gets no byte.
ExposureState read_exposure_state(const device::SystemView& system, const ExposurePorts& ports);

Step exposure_step(device::SystemView system);

}  // namespace caravan::doctor
