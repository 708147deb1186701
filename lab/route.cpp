#include "lab/route.h"

#include <array>
#include <cstdint>

#include <fmt/format.h>

namespace caravan::lab {
namespace {

constexpr std::size_t kHeaderBytes = 20;
constexpr std::size_t kDestination = 16;  // where it is in the header
constexpr std::array<std::uint8_t, 3> kNetwork{10, 77, 0};

}  // namespace

std::string address_of(std::size_t station) {
  return fmt::format("{}.{}.{}.{}", kNetwork[0], kNetwork[1], kNetwork[2], station + 1);
}

std::vector<std::size_t> route(std::span<const std::byte> packet, std::size_t from, std::size_t stations) {
  if (packet.size() < kHeaderBytes || std::to_integer<unsigned>(packet[0]) >> 4U != 4) return {};
  const auto byte = [packet](std::size_t i) {
    return std::to_integer<std::uint8_t>(packet[kDestination + i]);
  };
  const bool ours = byte(0) == kNetwork[0] && byte(1) == kNetwork[1] && byte(2) == kNetwork[2];
  const bool multicast = byte(0) >= 224 && byte(0) < 240;
  const bool broadcast = byte(3) == 255 && (ours || (byte(0) == 255 && byte(1) == 255 && byte(2) == 255));
  std::vector<std::size_t> targets;
  if (multicast || broadcast) {
    for (std::size_t station = 0; station < stations; ++station) {
      if (station != from) targets.push_back(station);
    }
  } else if (ours && byte(3) >= 1 && byte(3) <= stations && byte(3) - 1U != from) {
    targets.push_back(byte(3) - 1U);
  }
  return targets;
}

}  // namespace caravan::lab
