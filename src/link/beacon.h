// One datagram with which a device tells its network that it is there. Pure. Layout, limits and golden bytes:
// docs/protocol-beacon.md. A beacon is a hint and nothing more: nobody signs it, anybody can send one. What
// counts is proved later, by the link.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace caravan::link {

inline constexpr std::uint8_t kBeaconVersion = 1;
inline constexpr std::size_t kMaxBeaconBytes = 512;  ///< longer datagrams are no beacons
inline constexpr std::size_t kMaxBeaconName = 32;    ///< bytes of UTF-8
inline constexpr std::uint16_t kBeaconPort = 7433;

/// The first bytes of a hash of the cluster's id: enough to tell one's own cluster from others, and says
/// nothing about it. All zero: the device is in no cluster.
using ClusterTag = std::array<std::uint8_t, 8>;

struct Beacon {
  std::string device;  ///< id: 32 characters of base32
  ClusterTag cluster{};
  std::uint16_t link_port = 0;  ///< TCP, never 0
  bool pairing_open = false;    ///< a new device may ask to join
  bool asks = false;            ///< whoever hears it should answer with its own beacon at once
  std::string name;             ///< as people call it

  bool operator==(const Beacon&) const = default;
};

/// At most kMaxBeaconBytes. A name that is too long is cut behind a whole character, one that could not be
/// sent is left out. Code::bug for an id or port that no device can have.
Result<std::string> encode_beacon(const Beacon& beacon);

/// Code::invalid for what is no beacon, Code::incompatible for one of another version. Bytes behind what this
/// version knows, and flags that it does not know, are ignored. Names have no control characters and none
/// that change the direction of writing.
Result<Beacon> decode_beacon(std::string_view datagram);

/// 32 characters of lower-case base32.
bool is_device_id(std::string_view text);

}  // namespace caravan::link
