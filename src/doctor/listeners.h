// Who listens on which port of this device, as far as the system tells: Android tells apps nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace caravan::doctor {

struct Listener {
  std::uint16_t port = 0;
  bool udp = false;
  bool loopback = false;    ///< reachable from this device only
  std::uint64_t inode = 0;  ///< of its socket
  std::string program;      ///< as the kernel calls it, at most 15 characters; empty: not known
  int pid = 0;              ///< 0: not known

  /// "python3 (process 123)", or "" when it is not known.
  std::string owner() const;
};

enum class ListenerTable { tcp4, tcp6, udp4, udp6 };

/// The listening sockets of /proc/net/tcp, tcp6, udp or udp6 (proc_net(5); Linux net/ipv4/tcp_ipv4.c,
/// net/ipv6/datagram.c). Other lines are left out. At most 4096.
std::vector<Listener> parse_listeners(std::string_view text, ListenerTable table);

/// Of all four files below `root`, with the programs that hold them, where /proc/PID/fd may be read. Blocks
/// for some thousand small look-ups at most. Empty where it is hidden.
std::vector<Listener> read_listeners(const fs::path& root);

}  // namespace caravan::doctor
