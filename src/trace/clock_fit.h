// How a worker's steady clock lies against the master's. Each question and answer is a bound: whatever the
// worker's clock showed, it showed between the two. So the middle is wrong by half of the round trip at most,
// however lopsided the way was, and the quickest answer tells most (F. Cristian, "Probabilistic clock
// synchronization", 1989; NTP takes the sample of the smallest delay too, RFC 5905, section 10). Pure.
#pragma once

#include <optional>
#include <span>

#include "trace/recording.h"

namespace caravan::trace {

struct ClockFit {
  Nanoseconds offset = 0;       ///< worker's clock less the master's
  Nanoseconds uncertainty = 0;  ///< the true offset differs by so much at most, all through the trace
  Nanoseconds on_master(Nanoseconds there) const { return there - offset; }
};

/// `length` of the trace: how far the clocks can drift apart from the sample on. Nothing without a sample.
std::optional<ClockFit> fit_clock(std::span<const ClockSample> samples, Nanoseconds length);

}  // namespace caravan::trace
