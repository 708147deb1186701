// Whether a device should carry less because of its heat or its battery: bands with hysteresis, so that one
// that is about as hot as a limit does not come and go. Pure; docs/planner.md has the limits.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"
#include "cluster/condition.h"

namespace caravan::cluster {

enum class Band {
  normal,
  hot,       ///< planned around at the next idle moment
  critical,  ///< the same, and counts for even less; also one whose battery is nearly empty and not charged
};
std::string_view name_of(Band band);

/// What a plan takes the speed of such a device for, as part of what it is: it carries something only where
/// the others cannot, or would be much slower.
double speed_factor(Band band);

/// One device's.
class DeviceBand {
 public:
  struct Limits {
    double enter;
    double leave;
  };
  struct HeatLimits {
    Limits hot;
    Limits critical;
  };
  static constexpr HeatLimits kBattery{{42, 38}, {48, 44}};    ///< °C
  static constexpr HeatLimits kProcessor{{85, 75}, {95, 85}};  ///< °C, where no battery tells its own
  static constexpr int kLowPercent = 15;                       ///< below, and not charging: critical
  static constexpr int kEnoughPercent = 25;                    ///< above, or charging: not any more
  static constexpr std::chrono::minutes kForget{10};           ///< what is not told any more counts so long

  /// Takes in what the device tells. True when its band has become another one.
  bool update(const Condition& condition, TimePoint now);

  Band band() const;
  /// "its battery has 43.5 °C (until it is below 38 °C)", as it was when it got into its band; "" in the
  /// normal one.
  const std::string& why() const { return why_; }

 private:
  void take_heat(const Condition& condition, TimePoint now);
  void take_battery(const Condition& condition, TimePoint now);
  std::string reason() const;

  Band heat_ = Band::normal;
  bool by_battery_ = false;  ///< what the heat is of
  double celsius_ = 0;
  TimePoint heat_at_{};
  bool low_ = false;
  int percent_ = 0;
  TimePoint percent_at_{};
  std::string why_;
};

}  // namespace caravan::cluster
