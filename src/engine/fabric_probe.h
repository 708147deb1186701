// Whether the fabric's programs and the engine are of one build, found out by letting them work together.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "engine/fabric.h"
#include "engine/locate.h"

namespace caravan::engine {

namespace asio = boost::asio;

/// Starts a worker on loopback, and llama-server with the module only so far that it lists its devices. Takes
/// some tenths of a second; leaves nothing behind. Code::incompatible, with what they say, when the device is
/// not among them.
asio::awaitable<Result<void>> probe_fabric(asio::any_io_executor executor, EngineFiles engine,
                                           FabricFiles files);

}  // namespace caravan::engine
