// When a node measures the bandwidth of its links: once to each device, when nothing else is going on. Pure.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/units.h"

namespace caravan::link {

struct MeasureTimes {
  std::chrono::milliseconds settle{3'000};     ///< after the link came up, and after anything else went on
  std::chrono::minutes again{10};              ///< the least between two measurements of a pair
  std::chrono::milliseconds retry{20'000};     ///< after one that failed; doubled with each
  std::chrono::milliseconds longest{600'000};  ///< of these
};

/// One event loop. Of two devices the one with the smaller id measures; the other answers. One measurement at
/// a time, asked or answered.
class MeasureSchedule {
 public:
  explicit MeasureSchedule(std::string self, MeasureTimes times = {})
      : self_(std::move(self)), times_(times) {}

  void linked(const std::string& device, TimePoint now);
  void lost(const std::string& device);
  /// It is no member any more.
  void forget(const std::string& device) { pairs_.erase(device); }
  /// Something goes on that a measurement would disturb, or that would disturb it.
  void disturbed(TimePoint now) { quiet_since_ = now; }

  /// The device to measure now; has to be answered by done().
  std::optional<std::string> next(TimePoint now);
  void done(const std::string& device, bool measured, TimePoint now);

  /// Whether to answer a device that wants to measure; true has to be answered by answered().
  bool answer(const std::string& device, TimePoint now);
  void answered() { is_busy_ = false; }

 private:
  struct Pair {
    bool linked = false;
    bool measured = false;  ///< over this link
    TimePoint due;
    std::optional<TimePoint> last;      ///< that was begun here
    std::optional<TimePoint> answered;  ///< that the other device has begun
    int failures = 0;
  };

  std::string self_;
  MeasureTimes times_;
  std::map<std::string, Pair> pairs_;
  TimePoint quiet_since_{};
  bool is_busy_ = false;
};

}  // namespace caravan::link
