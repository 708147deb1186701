// Reaches another device's link port. A running node does so through its Link; a device that joins a cluster
// needs no more than dial_pairing.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "link/message_socket.h"
#include "link/tls.h"

namespace caravan::link {

inline constexpr int kLinkPort = 7433;
/// Until the pairing has proved who is there; then kMaxWelcomeBytes (MessageSocket::allow).
inline constexpr std::size_t kPairingMessageBytes = std::size_t{64} << 10U;
/// Of a whole pairing, on both sides: two people look at two screens.
inline constexpr std::chrono::milliseconds kPairingTime{180'000};
/// From the name to the proof of the other side's key.
inline constexpr std::chrono::milliseconds kDialTime{10'000};

/// Name, TCP and TLS on a fresh connection, which stays armed with the end of `time`. Code::unavailable when
/// nobody answers, Code::invalid when its key is not one that the context takes.
asio::awaitable<Result<void>> dial(std::shared_ptr<TlsConnection> connection, std::string host, int port,
                                   std::chrono::milliseconds time);

/// A message socket on the pairing path of a device whose key `check` takes; the key is then
/// `connection().peer_key()`. Ends by itself after kPairingTime. `identity` is borrowed until the coroutine
/// has ended. Code::unavailable also when that device has no invitation open.
asio::awaitable<Result<std::unique_ptr<MessageSocket>>> dial_pairing(asio::any_io_executor executor,
                                                                     const Identity& identity,
                                                                     std::string host, int port,
                                                                     KeyCheck check);

}  // namespace caravan::link
