// For tests: a recording of two stages whose clocks differ, made of tokens that all go the same way.
#pragma once

#include "trace/recording.h"

namespace caravan::trace {

inline constexpr Nanoseconds kMs = 1'000'000;
/// What the workers' clocks show more than the master's.
inline constexpr Nanoseconds kFirstOffset = 5000 * kMs;
inline constexpr Nanoseconds kSecondOffset = -300 * kMs;

/// Each token takes 20 ms from the last: 1 ms to the first stage, 6 there, 2 on the way, 8 in the second, 1
/// back, and 2 at the master. The clocks' samples have a round trip of 200 us, the way there 50 of them.
inline Recording tokens_of_two_stages(int tokens) {
  Recording recording;
  recording.decode_rows = 1;
  recording.stages = {{"one", 0, {}, {}}, {"two", 0, {}, {}}};
  const Nanoseconds start = 400 * kMs;  // the second clock must not show less than nothing
  for (int i = 0; i < 3; ++i) {
    const Nanoseconds asked = start + i * 10 * kMs;
    const Nanoseconds there = asked + kMs / 20;
    recording.stages[0].clock.push_back({asked, asked + kMs / 5, there + kFirstOffset});
    recording.stages[1].clock.push_back({asked, asked + kMs / 5, there + kSecondOffset});
  }
  Nanoseconds first_idle = start;
  Nanoseconds second_idle = start;
  for (int i = 0; i < tokens; ++i) {
    const auto step = static_cast<std::uint32_t>(i);
    const auto tag = static_cast<std::uint64_t>(i + 1);
    const Nanoseconds at = start + i * 20 * kMs;
    recording.steps.push_back({at, 1});
    recording.runs.push_back({step, 0, 7, at});
    recording.runs.push_back({step, 1, 9, at});
    recording.waits.push_back({step, 1, at, at + 18 * kMs});
    const auto first = [&](Doing doing, Nanoseconds begin, Nanoseconds end, std::uint64_t detail) {
      recording.stages[0].spans.push_back({doing, begin + kFirstOffset, end + kFirstOffset, detail});
    };
    const auto second = [&](Doing doing, Nanoseconds begin, Nanoseconds end, std::uint64_t detail) {
      recording.stages[1].spans.push_back({doing, begin + kSecondOffset, end + kSecondOffset, detail});
    };
    first(Doing::wait_command, first_idle, at + kMs, 0);
    first(Doing::compute, at + kMs, at + 6 * kMs + kMs / 2, 7);
    first(Doing::send, at + 6 * kMs + kMs / 2, at + 7 * kMs, tag);
    second(Doing::wait_peer, second_idle, at + 9 * kMs, tag);
    second(Doing::compute, at + 9 * kMs, at + 17 * kMs, 9);
    first_idle = at + 7 * kMs;
    second_idle = at + 17 * kMs;
  }
  recording.length = start + tokens * 20 * kMs;
  return recording;
}

}  // namespace caravan::trace
