// Runs a program of the engine to its end and keeps what it writes.
#pragma once

#include <chrono>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "engine/output_ring.h"
#include "engine/process.h"

namespace caravan::engine {

struct Captured {
  ExitStatus status;
  std::string text;  ///< stdout and stderr, at most kMaxCapturedBytes
  OutputRing output;
};

inline constexpr std::size_t kMaxCapturedBytes = std::size_t{1} << 20U;

/// Code::unavailable when it has not ended within `timeout`; then it is killed.
asio::awaitable<Result<Captured>> capture(asio::any_io_executor executor, SpawnSpec spec,
                                          std::chrono::milliseconds timeout);

}  // namespace caravan::engine
