// When to send beacons: thrice soon after something changed, then now and then. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "base/units.h"

namespace caravan::link {

struct AnnouncerTiming {
  std::chrono::milliseconds usual{10'000};
  std::chrono::milliseconds busy{1'000};  ///< while pairing is open or somebody is looked for
  /// Between the first beacons after a change: two more follow, since datagrams get lost.
  std::chrono::milliseconds repeat{300};
  std::chrono::milliseconds answer{200};  ///< at most one answer to those who ask in this time
};

class Announcer {
 public:
  /// `seed`: of the jitter, a tenth either way, which keeps devices that began together from staying in step.
  Announcer(TimePoint now, std::uint32_t seed, AnnouncerTiming timing = {});

  /// What is announced, or where, has changed: it is told at once.
  void changed(TimePoint now);
  void set_busy(bool busy, TimePoint now);
  /// Somebody asked. An answer goes to everybody, so that many who ask cost no more than one.
  void asked(TimePoint now);

  /// True when a beacon is to be sent now; it counts as sent then.
  bool due(TimePoint now);
  TimePoint next_deadline() const { return next_; }

 private:
  std::chrono::milliseconds with_jitter(std::chrono::milliseconds period);

  AnnouncerTiming timing_;
  std::minstd_rand random_;
  bool busy_ = false;
  int repeats_ = 0;
  TimePoint next_;
  TimePoint last_;  ///< when one was sent
};

}  // namespace caravan::link
