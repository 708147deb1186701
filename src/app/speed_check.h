// Holds the speed of the answers of this device's engine against what the plan promises, and decides when
// this device measures itself again because of it: at most once in kPause, and never while anybody waits for
// an answer. Pure.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/units.h"
#include "cluster/condition.h"
#include "device/speed.h"
#include "engine/token_rates.h"

namespace caravan::app {

/// Of the replica whose master this device is.
struct PlannedSpeed {
  std::string model;
  double decode = 0;                 ///< tokens/s of all its sequences together
  int parallel = 1;                  ///< sequences at once
  std::vector<std::string> devices;  ///< that carry it, by id, the master first
  std::vector<int> layers;           ///< of each of them
  bool guesses = false;              ///< tokens ahead: what repeats itself is faster than `decode`

  bool operator==(const PlannedSpeed&) const = default;
};
/// `deployments` as Deployer::deployments() has them, which another device may have told. Nothing when
/// `master` is none, or no speed is promised.
std::optional<PlannedSpeed> planned_speed(const Json& deployments, const std::string& master);

class SpeedCheck {
 public:
  static constexpr std::chrono::minutes kPause{60};  ///< between two measurements because of answers
  static constexpr std::chrono::seconds kQuiet{10};  ///< nobody has asked for so long: at rest
  /// After measuring: until the others have measured themselves too, and what runs was predicted again.
  static constexpr std::chrono::seconds kSettle{60};
  static constexpr double kLeastTokens = 32;  ///< of an answer; shorter ones are no measure
  /// Of all that the engine has generated: it writes six digits of that (token_rates.h).
  static constexpr double kLeastPart = 1e-4;

  /// An answer that has ended, and all that the engine has generated so far. Back comes what is to be told.
  /// With several sequences an answer may have been alone or not: any speed between is as planned.
  std::optional<std::string> answered(const engine::TokenTotals& ended, const engine::TokenTotals& all,
                                      const PlannedSpeed& plan, TimePoint now);
  /// The master of a replica that this device carries a part of wants it measured. False: it was, lately.
  bool asked(TimePoint now);
  /// Whether all that runs in the cluster is at rest; to be told every second or so.
  void rests(bool is_quiet, TimePoint now);

  bool is_at_rest(TimePoint now) const { return quiet_since_ && now >= *quiet_since_ + kQuiet; }
  bool is_due(TimePoint now) const { return wanted_ && now >= due_at_ && is_at_rest(now); }
  void began();
  /// An answer was asked for meanwhile: again at the next quiet moment.
  void interrupted();
  /// For whatever reason.
  void measured(TimePoint now);

  /// For people; nothing while answers are as planned.
  const std::optional<cluster::SpeedNote>& note() const { return note_; }
  /// The others that carry the replica whose answers are not as planned.
  std::vector<std::string> others() const;

 private:
  std::optional<std::string> departed(double expected, TimePoint now);
  std::optional<std::string> agreed();
  double mean() const;

  std::optional<PlannedSpeed> plan_;
  device::SpeedWatch watch_;
  std::deque<double> rates_;  ///< of the last answers, tokens/s
  int agreeing_ = 0;          ///< answers in a row
  double usual_ = 1;          ///< of the plan: what is left of a departure after measuring again
  bool wanted_ = false;
  bool unchecked_ = false;  ///< it was measured again, and answers have not shown yet what came of it
  TimePoint due_at_{};
  std::optional<TimePoint> last_;
  std::optional<TimePoint> quiet_since_;
  std::optional<cluster::SpeedNote> note_;
};

}  // namespace caravan::app
