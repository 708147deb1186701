// What the engine at hand is and can do, asked of its programs.
#pragma once

#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "engine/arguments.h"
#include "engine/flags.h"
#include "engine/locate.h"
#include "engine/rpc_probe.h"

namespace caravan::engine {

namespace asio = boost::asio;

struct EngineFacts {
  EngineFiles files;
  std::string version;   ///< as it calls itself: "0.5.0-dev (build 1, commit de3ff81)"
  std::string commit;    ///< "de3ff81"
  std::string compiler;  ///< "GNU 12.2.0 for Linux x86_64"
  RpcVersion rpc;
  /// Which source it is: commit and RPC protocol. The same on devices with different processors; devices of
  /// one replica must agree on it.
  std::string source_id;
  /// Exactly which build it is: source_id and a hash over its programs and libraries.
  std::string build_id;
  std::vector<std::string> features;  ///< of its processor code: "AVX2", "REPACK"
  std::vector<std::string> devices;   ///< other than the processor, e.g. "Vulkan0"
  EngineFlags server_flags;
  EngineFlags rpc_flags;
  RpcDeviceNames rpc_device_names = RpcDeviceNames::by_number;
};

/// Runs the programs for a moment (0.2 s in all on a computer). `background` is for hashing, which blocks: a
/// thread pool. Errors say what is missing and how to get it.
asio::awaitable<Result<EngineFacts>> probe_engine(asio::any_io_executor executor,
                                                  asio::any_io_executor background, EngineFiles files);

/// locate_engine and probe_engine.
asio::awaitable<Result<EngineFacts>> find_engine(asio::any_io_executor executor,
                                                 asio::any_io_executor background, EnginePlaces places);

}  // namespace caravan::engine
