// What is said to a running emulator over its control socket: one line of words, taken apart. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "lab/medium.h"
#include "lab/profiles.h"

namespace caravan::lab {

enum class StationState { vanished, frozen, present };

struct SetState {
  std::size_t station = 0;  ///< from 0; people count from 1
  StationState state = StationState::present;
};

struct Setting {
  std::string key;
  std::string value;
};

struct SetLink {
  std::optional<std::size_t> station;  ///< nothing: all of them
  std::vector<Setting> settings;
};

struct UseProfile {
  const Profile* profile = nullptr;
};

struct Stats {};
struct Stop {};

using Command = std::variant<SetState, SetLink, UseProfile, Stats, Stop>;

/// "vanish 2", "freeze 2", "restore 2", "set [2] rate=20 loss=0.01", "profile wifi24", "stats", "stop".
/// Code::invalid with what is wrong; the keys and values of `set` have been checked as well.
Result<Command> parse_command(std::string_view line, std::size_t stations);

/// `link` with `settings` applied: rate (Mbit/s), delay, jitter, overhead (ms), loss, retry (0 to 1), queue,
/// aggregate (bytes, also "256K").
Result<Link> apply_settings(Link link, std::span<const Setting> settings);

}  // namespace caravan::lab
