// The beginning of a connection to a worker: who is there, proof of the plan's key both ways, what the worker
// offers.
#pragma once

#include <string>

#include "fabric/module/socket.h"
#include "fabric/wire/messages.h"

namespace caravan::fabric {

/// `engine` is this process's build of it; the worker has to have the same. Blocks until `deadline` at most.
Result<Welcome> greet(Socket& socket, const Key& key, const std::string& engine, Clock::time_point deadline);

/// The error that an ERROR message in `payload` tells, or the one of reading it.
Error told_error(std::string_view payload);

}  // namespace caravan::fabric
