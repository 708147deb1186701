// Whether and when an engine program that has ended is started again. Pure: time is given.
#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <variant>

#include "base/units.h"
#include "engine/exit.h"

namespace caravan::engine {

struct RestartLimits {
  int max_restarts = 5;  ///< within `window`; then it is given up
  std::chrono::milliseconds window = std::chrono::minutes(2);
  std::chrono::milliseconds first_delay{500};  ///< doubled for each restart within the window
  std::chrono::milliseconds max_delay = std::chrono::seconds(15);
};

struct RestartAfter {
  std::chrono::milliseconds delay{0};
};

struct GiveUp {
  std::string reason;  ///< for people, e.g. "it ended 6 times within 2 min 00 s"
};

using RestartDecision = std::variant<RestartAfter, GiveUp>;

/// A restart that lasted for the whole window costs nothing later: only those within it count.
class RestartPolicy {
 public:
  explicit RestartPolicy(RestartLimits limits = {}) : limits_(limits) {}

  /// The program has ended at `now`, which never goes back.
  RestartDecision on(ExitCause cause, TimePoint now);

  /// A person or a new plan wants it again.
  void reset() { restarts_.clear(); }

 private:
  RestartLimits limits_;
  std::deque<TimePoint> restarts_;
};

}  // namespace caravan::engine
