// Where the ends of the fabric's connections are. Numeric addresses only: looking up a name may take longer
// than any deadline, and would ask others.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace caravan::fabric {

/// Which addresses may be used: ends of tunnels are loopback ones.
enum class Addresses { loopback, any };

struct Address {
  std::string text;  ///< "127.0.0.1:4012" or "[::1]:4012"
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
  std::uint16_t port() const;  ///< 0 leaves it to the system
};

/// `what` names it in errors ("plan.stages[0].address").
Result<Address> parse_address(std::string_view text, std::string_view what = "the address");
/// Code::invalid when `address` is none of the allowed ones.
Result<void> check_allowed(const Address& address, Addresses allowed);
/// The own end's address of a socket, as parse_address takes it.
Result<std::string> name_of_socket(int socket);

}  // namespace caravan::fabric
