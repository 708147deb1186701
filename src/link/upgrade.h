// The HTTP/1.1 request with which a connection of the link becomes what it is for, and the answer to it.
// Internal to the link: includes Beast.
//
//   GET /caravan/link             WebSocket: session, for members
//   GET /caravan/pair             WebSocket: pairing, while the owner's window is open
//   GET /caravan/tunnel?target=T  Upgrade: caravan-tunnel: bytes to what the node calls T
//   GET /caravan/tunnel?token=T   the same, asked for by a dial_back message
#pragma once

#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>

#include "base/result.h"
#include "link/tls.h"

namespace caravan::link {

inline constexpr std::string_view kLinkPath = "/caravan/link";
inline constexpr std::string_view kPairPath = "/caravan/pair";
inline constexpr std::string_view kTunnelPath = "/caravan/tunnel";
inline constexpr std::string_view kTunnelProtocol = "caravan-tunnel";

using HttpRequest = boost::beast::http::request<boost::beast::http::empty_body>;

struct UpgradeRequest {
  HttpRequest http;
  std::string path;   ///< without the query
  std::string query;  ///< what comes after '?'
  bool tunnel() const;
  /// Of "name=value&name=value"; empty when it is absent or has other characters than a-z, 0-9, '-' and '_'.
  std::string parameter(std::string_view name) const;
};

/// Reads no further than the head. Code::invalid for what is no upgrade of a connection, also when anything
/// follows the head before it is answered; Code::exhausted when the head is longer than `header_bytes`.
asio::awaitable<Result<UpgradeRequest>> read_upgrade(TlsConnection& connection, std::size_t header_bytes);

/// An error as JSON, after which the connection is to be closed.
asio::awaitable<void> refuse_upgrade(TlsConnection& connection, unsigned status, Error error);
/// 101: from now on the connection is a tunnel.
asio::awaitable<Result<void>> accept_tunnel(TlsConnection& connection);
/// Asks for a tunnel, with "target=rpc" or "token=...". What the other end has already sent through it is the
/// value. The error of the other side when that refuses, Code::invalid when the query is no name and name.
asio::awaitable<Result<std::string>> ask_for_tunnel(TlsConnection& connection, std::string query);

}  // namespace caravan::link
