#include "engine/kernel_timing.h"

#include <algorithm>
#include <cstddef>
#include <ctime>

namespace caravan::engine {
namespace {

constexpr double kShortestPass = 1e-9;
constexpr std::size_t kMaxPasses = 4096;
constexpr double kLongPass = 4;      ///< slices: one pass has to do
constexpr double kEndlessPass = 10;  ///< slices: the one to warm up has to do

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

/// How often to run after a warm-up that took `slices` of time.
std::size_t fewest_passes(double slices) {
  if (slices > kEndlessPass) return 0;
  return slices > kLongPass ? 1 : 2;
}

}  // namespace

double typical_pass(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t faster_half = (seconds.size() + 1) / 2;
  return seconds[faster_half / 2];
}

Result<PassTiming> time_passes(int threads, std::chrono::duration<double> slice,
                               const std::function<Result<void>()>& pass) {
  const Clocks begun;
  if (auto done = pass(); !done) return done.error();  // page faults, caches, clock frequency
  const Clocks warm;
  const std::size_t fewest = fewest_passes((warm.wall - begun.wall) / std::max(slice.count(), kShortestPass));
  const Clocks& first = fewest == 0 ? begun : warm;  // what is timed begins here
  const auto took = [threads](const Clocks& from, const Clocks& to) {
    return std::max(threads == 1 ? to.thread - from.thread : to.wall - from.wall, kShortestPass);
  };
  std::vector<double> passes;
  Clocks last = warm;
  if (fewest == 0) passes.push_back(took(begun, warm));
  while (passes.size() < std::max<std::size_t>(fewest, 1) ||
         (fewest > 0 && passes.size() < kMaxPasses && last.wall - warm.wall < slice.count())) {
    if (auto done = pass(); !done) return done.error();
    const Clocks now;
    passes.push_back(took(last, now));
    last = now;
  }
  const double could_have = (last.wall - first.wall) * threads;
  PassTiming timing{typical_pass(std::move(passes)), 1};
  if (could_have > 0) timing.share = std::clamp((last.process - first.process) / could_have, 0.0, 1.0);
  return timing;
}

PassTiming time_once(const std::function<void()>& pass) {
  const Clocks begun;
  pass();
  const Clocks done;
  PassTiming timing{std::max(done.thread - begun.thread, kShortestPass), 1};
  const double could_have = done.wall - begun.wall;
  if (could_have > 0) timing.share = std::clamp((done.thread - begun.thread) / could_have, 0.0, 1.0);
  return timing;
}

}  // namespace caravan::engine
