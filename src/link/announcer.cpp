#include "link/announcer.h"

#include <algorithm>

namespace caravan::link {

namespace {
constexpr int kRepeats = 2;
}

Announcer::Announcer(TimePoint now, std::uint32_t seed, AnnouncerTiming timing)
    : timing_(timing), random_(seed), repeats_(kRepeats), next_(now), last_(now - timing.usual) {}

void Announcer::changed(TimePoint now) {
  repeats_ = kRepeats;
  next_ = now;
}

void Announcer::set_busy(bool busy, TimePoint now) {
  if (busy != busy_) changed(now);
  busy_ = busy;
}

void Announcer::asked(TimePoint now) { next_ = std::min(next_, std::max(now, last_ + timing_.answer)); }

bool Announcer::due(TimePoint now) {
  if (now < next_) return false;
  last_ = now;
  if (repeats_ > 0) {
    --repeats_;
    next_ = now + with_jitter(timing_.repeat);
  } else {
    next_ = now + with_jitter(busy_ ? timing_.busy : timing_.usual);
  }
  return true;
}

std::chrono::milliseconds Announcer::with_jitter(std::chrono::milliseconds period) {
  const auto tenth = static_cast<std::uint64_t>(period.count() / 10);
  const auto shift =
      static_cast<std::int64_t>(random_() % (2 * tenth + 1)) - static_cast<std::int64_t>(tenth);
  return period + std::chrono::milliseconds(shift);
}

}  // namespace caravan::link
