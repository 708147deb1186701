#include "trace/clock_fit.h"

#include <algorithm>

namespace caravan::trace {
namespace {

/// RFC 5905 counts with 15 ppm for a clock (PHI); here are two.
constexpr double kDrift = 2 * 15e-6;

}  // namespace

std::optional<ClockFit> fit_clock(std::span<const ClockSample> samples, Nanoseconds length) {
  std::optional<ClockFit> best;
  for (const ClockSample& sample : samples) {
    const Nanoseconds round_trip = sample.answered - sample.asked;
    const Nanoseconds middle = sample.asked + round_trip / 2;
    const Nanoseconds farthest = std::max(middle, length - middle);
    const auto drift = static_cast<Nanoseconds>(kDrift * static_cast<double>(farthest));
    const ClockFit fit{sample.there - middle, (round_trip + 1) / 2 + drift};
    if (!best || fit.uncertainty < best->uncertainty) best = fit;
  }
  return best;
}

}  // namespace caravan::trace
