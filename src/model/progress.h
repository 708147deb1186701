// How far a transfer is, for whoever watches it, and the way to stop it.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"

namespace caravan::model {

struct Progress {
  enum class Phase { connecting, downloading, unpacking, verifying, waiting };
  Phase phase = Phase::connecting;
  Bytes done;
  std::optional<Bytes> total;
  double bytes_per_second = 0;  ///< of the last seconds; 0 = not known yet
  std::optional<std::chrono::duration<double>> remaining;
  std::string note;  ///< while waiting: for what
};

std::string_view name_of(Progress::Phase phase);

/// What the caller of a long, blocking operation hands in. Both may be empty, both are called on the thread
/// that runs the operation, `on_progress` at most ten times a second, `cancelled` often.
struct TransferControl {
  std::function<void(const Progress&)> on_progress;
  std::function<bool()> cancelled;

  bool is_cancelled() const { return cancelled && cancelled(); }
};

/// Bytes a second over the last seconds. Pure.
class RateMeter {
 public:
  void add(Bytes done, TimePoint now);
  double bytes_per_second() const;

 private:
  struct Sample {
    TimePoint when;
    Bytes done;
  };
  std::deque<Sample> samples_;
};

/// Adds rate and remaining time, and thins the reports out.
class ProgressReporter {
 public:
  explicit ProgressReporter(const TransferControl& control) : control_(control) {}
  /// A new phase is always reported.
  void report(Progress::Phase phase, Bytes done, std::optional<Bytes> total, std::string_view note = "");

 private:
  const TransferControl& control_;
  RateMeter meter_;
  std::optional<Progress::Phase> phase_;
  TimePoint last_report_;
};

}  // namespace caravan::model
