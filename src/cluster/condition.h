// How a device is at this moment, as it tells the others every few seconds: heat, battery, how fast it
// answers, and what it knows of the ways between devices. Pure; docs/protocol.md has the fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "link/dial_outcome.h"

namespace caravan::cluster {

inline constexpr int kConditionVersion = 1;
inline constexpr std::size_t kMostWays = 128;
inline constexpr std::size_t kMostMeasuredLinks = 64;
inline constexpr std::size_t kMostOwnAddresses = 32;
inline constexpr std::size_t kMostPlaces = 256;

/// Tokens a second; 0: nothing was measured.
struct TokenRates {
  double decode = 0;
  double prefill = 0;

  bool operator==(const TokenRates&) const = default;
};

/// Of a master's engine, by its own counts.
struct AnswerRates {
  TokenRates last;    ///< of the answer that ended last
  TokenRates minute;  ///< of all answers of the last minute
  int requests = 0;   ///< that the engine works on, or has waiting, whoever sent them

  bool operator==(const AnswerRates&) const = default;
};

/// What a master makes of answers that are not as fast as its plan promises.
struct SpeedNote {
  enum class State {
    waits,     ///< for a quiet moment, to measure its speed again
    measures,  ///< its speed, now
    stays,     ///< as it is: measuring again has changed nothing
  };
  double measured = 0;  ///< tokens/s of one answer, mean of some
  double planned = 0;   ///< tokens/s
  State state = State::waits;

  bool operator==(const SpeedNote&) const = default;
};
std::string_view name_of(SpeedNote::State state);
/// "answers take 2.1 times as long as planned (9.8 instead of 20.1 tokens/s): ..."
std::string describe(const SpeedNote& note);

/// Bandwidth to another device, as the device that tells it has measured it through the link.
struct MeasuredLink {
  std::string device;
  double upload = 0;    ///< bytes/s towards it
  double download = 0;  ///< bytes/s from it

  bool operator==(const MeasuredLink&) const = default;
};

struct OwnAddress {
  std::string address;  ///< "192.168.1.5", "fd00::5"
  int prefix = 0;       ///< length of its network's prefix

  bool operator==(const OwnAddress&) const = default;
};

/// Where another member's link port may be reached: as that one says, or as this device has reached it.
struct Place {
  std::string device;
  std::string host;
  int port = 0;

  bool operator==(const Place&) const = default;
};

/// The last try of one device to connect to another, which it has no link with.
struct Way {
  std::string from;  ///< ids
  std::string to;
  std::string address;  ///< "192.168.1.5:7433"
  link::DialOutcome outcome = link::DialOutcome::timed_out;
  std::string why;  ///< one line, for people
  int age = 0;      ///< seconds since

  bool operator==(const Way&) const = default;
};

struct Condition {
  std::optional<double> battery_celsius;
  std::optional<double> processor_celsius;
  std::optional<int> battery_percent;
  std::optional<bool> charging;
  std::optional<AnswerRates> rates;
  std::optional<SpeedNote> speed;
  std::vector<MeasuredLink> links;
  /// Seconds of each way of the fabric's, as the last trace on this device has shown it (plan::Cluster).
  std::optional<double> handling;
  std::vector<OwnAddress> addresses;
  int link_port = 0;                     ///< at each of them; 0: it does not tell
  std::vector<Place> places;             ///< of devices that it is linked with
  bool is_hotspot = false;               ///< it is the access point of others
  std::uint64_t membership_version = 0;  ///< 0: it does not tell
  std::string membership_digest;
  std::vector<Way> ways;  ///< its own, and those that its neighbours have told it of themselves

  bool operator==(const Condition&) const = default;

  /// What people call its heat: the battery's, where it has one that tells.
  std::optional<double> celsius() const { return battery_celsius ? battery_celsius : processor_celsius; }
};

Json to_json(const Condition& condition);
/// Code::invalid names the wrong field, Code::incompatible for a newer version.
Result<Condition> condition_from_json(const Json& value);

}  // namespace caravan::cluster
