#include "cluster/band.h"

#include <algorithm>

#include <fmt/format.h>

namespace caravan::cluster {
namespace {

constexpr double kHotSpeed = 0.25;
constexpr double kCriticalSpeed = 0.1;

bool is_above(double value, const DeviceBand::Limits& limits, bool was_above) {
  return value >= limits.enter || (was_above && value >= limits.leave);
}

}  // namespace

std::string_view name_of(Band band) {
  constexpr std::array<std::string_view, 3> kNames{"normal", "hot", "critical"};
  return kNames.at(static_cast<std::size_t>(band));
}

double speed_factor(Band band) {
  if (band == Band::normal) return 1;
  return band == Band::hot ? kHotSpeed : kCriticalSpeed;
}

bool DeviceBand::update(const Condition& condition, TimePoint now) {
  const Band before = band();
  take_heat(condition, now);
  take_battery(condition, now);
  if (band() == before) return false;
  why_ = reason();
  return true;
}

Band DeviceBand::band() const { return low_ ? Band::critical : heat_; }

void DeviceBand::take_heat(const Condition& condition, TimePoint now) {
  const auto celsius = condition.celsius();
  if (!celsius) {
    if (now >= heat_at_ + kForget) heat_ = Band::normal;
    return;
  }
  const bool by_battery = condition.battery_celsius.has_value();
  if (by_battery != by_battery_) heat_ = Band::normal;  // of something else, with limits of its own
  const HeatLimits& limits = by_battery ? kBattery : kProcessor;
  const bool is_critical = is_above(*celsius, limits.critical, heat_ == Band::critical);
  const bool is_hot = is_above(*celsius, limits.hot, heat_ != Band::normal);
  heat_ = is_critical ? Band::critical : is_hot ? Band::hot : Band::normal;
  by_battery_ = by_battery;
  celsius_ = *celsius;
  heat_at_ = now;
}

void DeviceBand::take_battery(const Condition& condition, TimePoint now) {
  if (!condition.battery_percent) {
    if (now >= percent_at_ + kForget) low_ = false;
    return;
  }
  percent_ = *condition.battery_percent;
  percent_at_ = now;
  const bool is_charging = condition.charging.value_or(false);
  if (is_charging || percent_ > kEnoughPercent) low_ = false;
  // Whether it is charged may be hidden: then nobody should be drained for it.
  if (condition.charging.has_value() && !is_charging && percent_ < kLowPercent) low_ = true;
}

std::string DeviceBand::reason() const {
  if (low_)
    return fmt::format("its battery has {} % and is not charged (until that is above {} %)", percent_,
                       kEnoughPercent);
  if (heat_ == Band::normal) return "";
  const HeatLimits& limits = by_battery_ ? kBattery : kProcessor;
  const Limits& own = heat_ == Band::hot ? limits.hot : limits.critical;
  return fmt::format("its {} has {:.1f} °C (until that is below {:.0f} °C)",
                     by_battery_ ? "battery" : "processor", celsius_, own.leave);
}

}  // namespace caravan::cluster
