#include "engine/kernel_timing.h"

#include <time.h>

#include <algorithm>
#include <cstddef>

namespace caravan::engine {
namespace {

constexpr double kShortestPass = 1e-9;
constexpr std::size_t kMaxPasses = 4096;
constexpr double kLongPass = 4;  ///< slices

double seconds_of(clockid_t clock) {
  timespec now{};
  (void)::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Clocks {
  double wall = seconds_of(CLOCK_MONOTONIC);
  double thread = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  double process = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
};

}  // namespace

double typical_pass(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t faster_half = (seconds.size() + 1) / 2;
  return seconds[faster_half / 2];
}

Result<PassTiming> time_passes(int threads, std::chrono::duration<double> slice,
                               const std::function<Result<void>()>& pass) {
  const Clocks before;
  if (auto done = pass(); !done) return done.error();  // page faults, caches, clock frequency
  const Clocks warm;
  const std::size_t at_least = warm.wall - before.wall > kLongPass * slice.count() ? 1 : 2;
  std::vector<double> passes;
  Clocks last = warm;
  while (passes.size() < kMaxPasses) {
    if (auto done = pass(); !done) return done.error();
    const Clocks now;
    const double took = threads == 1 ? now.thread - last.thread : now.wall - last.wall;
    passes.push_back(std::max(took, kShortestPass));
    last = now;
    if (passes.size() >= at_least && now.wall - warm.wall >= slice.count()) break;
  }
  const double could_have = (last.wall - warm.wall) * threads;
  PassTiming timing{typical_pass(std::move(passes)), 1};
  if (could_have > 0) timing.share = std::clamp((last.process - warm.process) / could_have, 0.0, 1.0);
  return timing;
}

}  // namespace caravan::engine
