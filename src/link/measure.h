// Measures the link between two nodes over a connection that they have: round trips and bandwidth. Whoever is
// at the other end may be slow, silent or hostile.
#pragma once

#include <chrono>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "base/units.h"
#include "link/link_speed.h"

namespace caravan::link {

namespace asio = boost::asio;

struct MeasureLimits {
  int round_trips = 50;
  std::chrono::milliseconds bandwidth_time{1000};  ///< each direction
  Bytes bandwidth_bytes = mebibytes(64);           ///< each direction; whichever is reached first
  std::chrono::milliseconds patience{5000};        ///< without anything from the other side
  std::chrono::milliseconds at_most{30'000};       ///< in all
};

/// One side asks. The connection is used from its current position in the stream, and left after the last
/// frame: it stays open and can be used for something else. After an error it is closed. Round trips are of
/// 64-byte messages, one after the other; bandwidth is counted where bytes arrive, from the first to the last
/// frame. Errors: Code::unavailable when the other side is too slow, Code::disconnected when it went away,
/// Code::invalid for what is no answer. Runs on the socket's loop, which has to be one thread; the socket
/// must outlive the call.
asio::awaitable<Result<LinkSpeed>> measure_link(asio::ip::tcp::socket& socket, MeasureLimits limits);

/// The other side answers, until `done` or until its own limits: it sends no more, listens no longer and
/// answers no more echoes than these. Same errors.
asio::awaitable<Result<void>> answer_measuring(asio::ip::tcp::socket& socket, MeasureLimits limits);

}  // namespace caravan::link
