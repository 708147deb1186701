#include "lab/profiles.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::lab {
namespace {

using namespace std::chrono_literals;

constexpr Bytes kibibytes(std::uint64_t n) { return Bytes{n << 10U}; }

// 802.11 for one transmission of best-effort data: AIFS 43 µs, mean backoff 7.5 slots of 9 µs, preamble 40 µs
// (VHT) or 36 µs (HT), SIFS 16 µs, block ack 32 µs: 200 µs. MAC header, LLC, checksum and A-MPDU delimiter:
// 42 bytes. Ethernet: preamble, header, checksum and gap: 38 bytes.
constexpr std::array<Profile, 4> kProfiles{{
    {"wifi5",
     "one room, 5 GHz, 80 MHz, two streams: a phone's ordinary Wi-Fi",
     Topology::shared,
     {.megabits = 585,  // MCS 7, what two phones some metres away hold
      .overhead = 200us,
      .framing = Bytes{42},
      .aggregate = kibibytes(96),  // 64 packets: a block ack's window
      .retry = 0.03,
      .delay = 1690us,  // phones' drivers and power saving, until ping says the 4.7 ms that were measured
      .jitter = 250us,
      .queue = kibibytes(512)}},
    {"wifi24",
     "2.4 GHz, 20 MHz, one stream, neighbours on the channel",
     Topology::shared,
     {.megabits = 72.2,   // MCS 7 with a short guard interval, the best that one stream can have
      .overhead = 320us,  // longer slots, and waiting for the neighbours
      .framing = Bytes{42},
      .aggregate = kibibytes(32),  // about 4 ms on the air
      .retry = 0.15,
      .delay = 2600us,
      .jitter = 800us,
      .loss = 0.0002,
      .queue = kibibytes(256)}},
    {"usb-ethernet",
     "USB Ethernet adapters on one switch",
     Topology::switched,
     {.megabits = 330,  // what is left of USB 2.0's 480 Mbit/s, which is what most phones' ports have
      .overhead = 0us,
      .framing = Bytes{38},
      .aggregate = Bytes{0},
      .delay = 285us,  // USB's microframes and the adapter's interrupt moderation
      .jitter = 10us,
      .queue = kibibytes(512)}},
    {"bad-wifi",
     "through two walls: low rate, many repetitions, some loss",
     Topology::shared,
     {.megabits = 39,  // MCS 4 on 20 MHz with one stream
      .overhead = 400us,
      .framing = Bytes{42},
      .aggregate = kibibytes(16),
      .retry = 0.35,
      .delay = 6ms,
      .jitter = 4ms,
      .loss = 0.002,  // each of the two hops; 802.11 repeats until little is left
      .queue = kibibytes(128)}},
}};

}  // namespace

std::span<const Profile> profiles() { return kProfiles; }

const Profile* find_profile(std::string_view name) {
  const auto* found = std::find_if(kProfiles.begin(), kProfiles.end(),
                                   [name](const Profile& profile) { return profile.name == name; });
  return found == kProfiles.end() ? nullptr : found;
}

Error no_such_profile(std::string_view name) {
  std::vector<std::string> names;
  names.reserve(kProfiles.size());
  for (const Profile& profile : kProfiles) names.emplace_back(profile.name);
  return {Code::invalid, fmt::format("there is no profile '{}'", printable(name)), join(names, ", ")};
}

}  // namespace caravan::lab
