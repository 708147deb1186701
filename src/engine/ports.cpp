#include "engine/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/descriptor.h"
#include "base/files.h"
#include "engine/arguments.h"

namespace caravan::engine {
namespace {

/// Binds and lets go of a port on 127.0.0.1; 0: chosen by the system.
Result<std::uint16_t> try_port(std::uint16_t port) {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  const int reuse = 1;  // like the RPC server: connections of an earlier one that linger do not matter
  const bool bound = socket.get() >= 0 &&
                     ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) == 0 &&
                     ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0 &&
                     ::listen(socket.get(), 1) == 0 &&
                     ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0;
  if (!bound) return errno_error("cannot find a free port on 127.0.0.1", errno);
  return ntohs(address.sin_port);
}

}  // namespace

Result<std::uint16_t> free_port() { return try_port(0); }

Result<std::uint16_t> choose_rpc_port(int rank, int attempt) {
  const int preferred = assign_rpc_port(rank);
  if (attempt == 0 && preferred > 0 && preferred <= 65535) {
    if (auto port = try_port(static_cast<std::uint16_t>(preferred))) return port;
  }
  return free_port();
}

}  // namespace caravan::engine
