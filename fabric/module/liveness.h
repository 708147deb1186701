// Which stage of a plan has failed when nothing comes any more. All workers beat, whatever they compute.
// Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>

namespace caravan::fabric {

using Moment = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

/// The stage that said nothing for `timeout`, the longest silent one of several; `heard` is when each said
/// something last. Silence before `began` (when somebody began to wait) does not count: this process may have
/// slept.
std::optional<std::size_t> silent_stage(std::span<const Moment> heard, Moment began, Moment now,
                                        Duration timeout);

/// No stage has moved for `timeout`, while somebody waited: what they wait for will not come. `moved` is when
/// each did something last; beating is nothing.
bool stand_still(std::span<const Moment> moved, Moment began, Moment now, Duration timeout);

/// When silent_stage() has an answer at the earliest, if nothing is heard until then.
Moment next_deadline(std::span<const Moment> heard, Moment began, Duration timeout);

}  // namespace caravan::fabric
