// Loopback ports for the engine's programs, which cannot all choose one themselves.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace caravan::engine {

/// The port of a rank's RPC server: assign_rpc_port(rank) when nobody has it on 127.0.0.1, else one that the
/// system chooses; with `attempt` above 0 always the latter. Somebody may take it before the server does:
/// then try again.
Result<std::uint16_t> choose_rpc_port(int rank, int attempt = 0);

/// A port on 127.0.0.1 that nobody has now.
Result<std::uint16_t> free_port();

}  // namespace caravan::engine
