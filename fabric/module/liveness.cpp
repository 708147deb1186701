#include "fabric/module/liveness.h"

#include <algorithm>

namespace caravan::fabric {

std::optional<std::size_t> silent_stage(std::span<const Moment> heard, Moment began, Moment now,
                                        Duration timeout) {
  const auto longest = std::ranges::min_element(heard);
  if (longest == heard.end() || now - std::max(*longest, began) < timeout) return {};
  return static_cast<std::size_t>(longest - heard.begin());
}

bool stand_still(std::span<const Moment> moved, Moment began, Moment now, Duration timeout) {
  const auto last = std::ranges::max_element(moved);
  return last != moved.end() && now - std::max(*last, began) >= timeout;
}

Moment next_deadline(std::span<const Moment> heard, Moment began, Duration timeout) {
  const auto longest = std::ranges::min_element(heard);
  return (longest == heard.end() ? began : std::max(*longest, began)) + timeout;
}

}  // namespace caravan::fabric
