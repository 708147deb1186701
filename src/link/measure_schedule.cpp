#include "link/measure_schedule.h"

#include <algorithm>

namespace caravan::link {

void MeasureSchedule::linked(const std::string& device, TimePoint now) {
  Pair& pair = pairs_[device];
  pair.linked = true;
  pair.measured = false;
  pair.failures = 0;
  pair.due = now + times_.settle;
}

void MeasureSchedule::lost(const std::string& device) {
  const auto pair = pairs_.find(device);
  if (pair != pairs_.end()) pair->second.linked = false;
}

std::optional<std::string> MeasureSchedule::next(TimePoint now) {
  if (is_busy_ || now < quiet_since_ + times_.settle) return std::nullopt;
  for (auto& [device, pair] : pairs_) {
    const bool is_ours = self_ < device && pair.linked && !pair.measured;
    const bool is_soon = pair.last && now < *pair.last + times_.again;
    if (!is_ours || is_soon || now < pair.due) continue;
    is_busy_ = true;
    return device;
  }
  return std::nullopt;
}

void MeasureSchedule::done(const std::string& device, bool measured, TimePoint now) {
  is_busy_ = false;
  const auto found = pairs_.find(device);
  if (found == pairs_.end()) return;
  Pair& pair = found->second;
  if (measured) {
    pair.measured = true;
    pair.last = now;
    return;
  }
  constexpr int kMostDoublings = 10;
  const auto pause = times_.retry * (1 << std::min(pair.failures++, kMostDoublings));
  pair.due = now + std::min<std::chrono::milliseconds>(pause, times_.longest);
}

bool MeasureSchedule::answer(const std::string& device, TimePoint now) {
  const auto found = pairs_.find(device);
  if (is_busy_ || now < quiet_since_ + times_.settle || found == pairs_.end() || !found->second.linked)
    return false;
  // It counts from when it was done, this device from when it was asked: leave it some time.
  Pair& pair = found->second;
  if (pair.answered && now < *pair.answered + times_.again / 2) return false;
  pair.answered = now;
  is_busy_ = true;
  return true;
}

}  // namespace caravan::link
