// For tests: two ends of a connection in one process.
#pragma once

#include <sys/socket.h>

#include <cstdlib>
#include <thread>
#include <utility>

#include "fabric/net/channel.h"

namespace caravan::fabric::testing {

inline std::pair<Descriptor, Descriptor> socket_pair() {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) std::abort();
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

inline std::pair<Channel, Channel> channel_pair() {
  auto [a, b] = socket_pair();
  return {std::move(*Channel::adopt(std::move(a))), std::move(*Channel::adopt(std::move(b)))};
}

}  // namespace caravan::fabric::testing
