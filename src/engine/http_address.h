// Where an HTTP server is found: a TCP port or a Unix socket.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "base/files.h"

namespace caravan::engine {

/// `host` is an IP address or "localhost" (127.0.0.1): names are not looked up.
struct TcpAddress {
  std::string host;
  std::uint16_t port = 0;
};

struct UnixAddress {
  fs::path path;
};

using HttpAddress = std::variant<TcpAddress, UnixAddress>;

/// "127.0.0.1:8080", "[::1]:8080", or the path of the socket: for people.
std::string to_string(const HttpAddress& address);

}  // namespace caravan::engine
