// TUN devices in network namespaces, and a namespace's traffic as packets.
#pragma once

#include <string>

#include "base/descriptor.h"
#include "base/result.h"

namespace caravan::lab {

inline constexpr const char* kTunName = "lab0";

/// Makes `lab0` in the namespace that `ip netns add` has made under that name; gone when the descriptor is
/// closed. Non-blocking, one read or write a packet, no header before it. This thread enters the namespace
/// and comes back. Errors say what is missing: the device file, the right, the namespace.
Result<Descriptor> open_tun(const std::string& name_space);

}  // namespace caravan::lab
