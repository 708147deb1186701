// A part of a timeline in characters: a row for the master and for each stage, time from left to right. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "trace/timeline.h"

namespace caravan::trace {

struct Window {
  Nanoseconds begin = 0;
  Nanoseconds end = 0;
  std::size_t steps = 0;  ///< that it shows
};

/// At most `most` whole steps of decode one after the other, as near to the usual length as there are.
/// Nothing when there is none.
std::optional<Window> usual_tokens(const Timeline& timeline, std::size_t most);
/// The longest prompt of several parts. Nothing when there is none.
std::optional<Window> longest_prompt(const Timeline& timeline);

/// What each character means, in one line.
std::string legend();
/// At most `columns` characters (at least 40) wide: above, the time; then the rows. `names` of the stages;
/// they are cut where they are long. Each character stands for what took the most time there.
std::vector<std::string> draw(const Timeline& timeline, const Window& window,
                              const std::vector<std::string>& names, std::size_t columns);

}  // namespace caravan::trace
