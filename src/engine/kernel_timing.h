// How long one pass of a kernel takes: repeated for a slice of time, judged by the undisturbed passes.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "base/result.h"

namespace caravan::engine {

struct PassTiming {
  double seconds = 0;  ///< of one pass; above 0
  double share = 1;    ///< processor time that this process got, of the time that its threads could have had
};

/// The typical pass of those that nobody disturbed: the median of the faster half. The very fastest is luck,
/// the mean counts what other programs did meanwhile. `seconds` must not be empty.
double typical_pass(std::vector<double> seconds);

/// Runs `pass` once to warm up and then for about `slice`, at least twice (once when that takes several
/// slices). A single thread is timed by the processor time that it got, so that a busy machine does not count
/// as a slow one; several threads wait for each other, and are timed by the clock. Blocks. An error of `pass`
/// ends it.
Result<PassTiming> time_passes(int threads, std::chrono::duration<double> slice,
                               const std::function<Result<void>()>& pass);

/// One pass by one thread, by the processor time that it got: what a second one would not show, as memory
/// that is used for the first time. Blocks.
PassTiming time_once(const std::function<void()>& pass);

}  // namespace caravan::engine
