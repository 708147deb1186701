// What a worker did when, for `caravan trace`. Off until it is started.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "fabric/wire/weight_messages.h"

namespace caravan::fabric::worker {

/// Nanoseconds of the steady clock.
inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

/// Used by one thread.
class TimelineRecorder {
 public:
  void start() { on_ = true; }
  void stop() { on_ = false; }
  bool on() const { return on_; }
  void add(Doing doing, std::uint64_t begin_ns, std::uint64_t detail) {
    if (!on_) return;
    if (spans_.size() >= kMaxTimelineEntries) {
      ++dropped_;
      return;
    }
    spans_.push_back({doing, begin_ns, now_ns(), detail});
  }
  /// What there is, which is forgotten here.
  Timeline collect(std::uint32_t request) {
    Timeline timeline{request, now_ns(), dropped_, std::move(spans_)};
    spans_ = {};
    dropped_ = 0;
    return timeline;
  }

 private:
  bool on_ = false;
  std::uint64_t dropped_ = 0;
  std::vector<Span> spans_;
};

}  // namespace caravan::fabric::worker
