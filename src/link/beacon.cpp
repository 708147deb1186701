#include "link/beacon.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

namespace caravan::link {
namespace {

constexpr std::string_view kMagic = "CRVN";
constexpr std::size_t kIdLength = 32;
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kFlagsAt = 5;
constexpr std::size_t kPortAt = 6;
constexpr std::size_t kIdAt = 8;
constexpr std::size_t kClusterAt = 40;
constexpr std::size_t kNameLengthAt = 48;
constexpr std::size_t kNameAt = 49;
constexpr std::uint8_t kPairingOpen = 1;
constexpr std::uint8_t kAsks = 2;

std::uint8_t byte(std::string_view text, std::size_t at) { return static_cast<std::uint8_t>(text[at]); }

struct Character {
  std::uint32_t code = 0;
  std::size_t length = 0;
};

/// The character of UTF-8 at the beginning of `text`, which is not empty; nothing for what is none (RFC
/// 3629).
std::optional<Character> first_character(std::string_view text) {
  const std::uint8_t lead = byte(text, 0);
  if (lead < 0x80U) return Character{lead, 1};
  const std::size_t length = lead >= 0xF0U ? 4 : lead >= 0xE0U ? 3 : 2;
  if (lead < 0xC2U || lead > 0xF4U || text.size() < length) return std::nullopt;
  std::uint32_t code = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(text, i) & 0xC0U) != 0x80U) return std::nullopt;
    code = code << 6U | (byte(text, i) & 0x3FU);
  }
  constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xD800U && code <= 0xDFFFU;
  if (code < kLeast.at(length) || code > 0x10FFFFU || is_surrogate) return std::nullopt;
  return Character{code, length};
}

/// Neither a control character nor one that reorders or hides the text around it.
bool may_be_shown(std::uint32_t code) {
  const bool is_control = code < 0x20U || (code >= 0x7FU && code < 0xA0U);
  const bool is_direction = (code >= 0x200BU && code <= 0x200FU) || (code >= 0x2028U && code <= 0x202EU) ||
                            (code >= 0x2060U && code <= 0x206FU) || code == 0x061CU || code == 0xFEFFU;
  return !is_control && !is_direction;
}

/// How many bytes at the beginning of `text`, at most `most`, are whole characters that may be shown.
std::size_t showable(std::string_view text, std::size_t most) {
  std::size_t length = 0;
  while (length < text.size()) {
    const auto character = first_character(text.substr(length));
    if (!character || !may_be_shown(character->code) || length + character->length > most) break;
    length += character->length;
  }
  return length;
}

Error no_beacon(std::string_view why) {
  return Error{Code::invalid, fmt::format("this is no beacon: {}", why), ""};
}

}  // namespace

bool is_device_id(std::string_view text) {
  return text.size() == kIdLength && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
         });
}

Result<std::string> encode_beacon(const Beacon& beacon) {
  if (!is_device_id(beacon.device)) return Error{Code::bug, "a beacon without a device's id", ""};
  if (beacon.link_port == 0) return Error{Code::bug, "a beacon without a port", ""};
  const std::string_view name =
      std::string_view(beacon.name).substr(0, showable(beacon.name, kMaxBeaconName));
  std::string bytes(kMagic);
  bytes += static_cast<char>(kBeaconVersion);
  bytes += static_cast<char>((beacon.pairing_open ? kPairingOpen : 0U) | (beacon.asks ? kAsks : 0U));
  bytes += static_cast<char>(beacon.link_port >> 8U);
  bytes += static_cast<char>(beacon.link_port & 0xFFU);
  bytes += beacon.device;
  bytes.append(beacon.cluster.begin(), beacon.cluster.end());
  bytes += static_cast<char>(name.size());
  bytes += name;
  return bytes;
}

Result<Beacon> decode_beacon(std::string_view datagram) {
  if (datagram.size() > kMaxBeaconBytes) return no_beacon("it is too long");
  if (datagram.substr(0, kMagic.size()) != kMagic || datagram.size() <= kVersionAt)
    return no_beacon("it begins differently");
  if (byte(datagram, kVersionAt) != kBeaconVersion) {
    return Error{
        Code::incompatible,
        fmt::format("a beacon of version {}, known is {}", byte(datagram, kVersionAt), kBeaconVersion),
        "update Caravan on all devices"};
  }
  if (datagram.size() < kNameAt) return no_beacon("it is too short");
  Beacon beacon;
  const std::uint8_t flags = byte(datagram, kFlagsAt);
  beacon.pairing_open = (flags & kPairingOpen) != 0;
  beacon.asks = (flags & kAsks) != 0;
  beacon.link_port = static_cast<std::uint16_t>(byte(datagram, kPortAt) << 8U | byte(datagram, kPortAt + 1));
  if (beacon.link_port == 0) return no_beacon("its port is 0");
  beacon.device = datagram.substr(kIdAt, kIdLength);
  if (!is_device_id(beacon.device)) return no_beacon("it has no device's id");
  for (std::size_t i = 0; i < beacon.cluster.size(); ++i)
    beacon.cluster.at(i) = byte(datagram, kClusterAt + i);
  const std::size_t length = byte(datagram, kNameLengthAt);
  if (length > kMaxBeaconName || datagram.size() < kNameAt + length) return no_beacon("its name is too long");
  beacon.name = datagram.substr(kNameAt, length);
  if (showable(beacon.name, length) != length) return no_beacon("its name cannot be shown");
  return beacon;
}

}  // namespace caravan::link
