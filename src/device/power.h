// Battery and heat, from Termux:API where it is there, else from /sys.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "device/source.h"
#include "device/system_view.h"

namespace caravan::device {

struct BatteryFacts {
  std::optional<int> level;           ///< 0 to 100 %
  std::optional<bool> charging;       ///< it takes up energy, or is full and connected
  std::optional<bool> plugged;        ///< connected to a source of power
  std::optional<double> temperature;  ///< °C
};

/// A place whose temperature the system measures.
struct ThermalZone {
  std::string name;
  double temperature = 0;  ///< °C
};

/// What `termux-battery-status` prints: a JSON object with percentage, status, plugged and temperature in °C,
/// which newer versions write as text. Code::invalid when it is something else.
Result<BatteryFacts> parse_termux_battery(std::string_view text);
/// A line of power_supply's `status`: "Charging", "Discharging", "Not charging", "Full" or "Unknown".
std::optional<bool> parse_charging(std::string_view status);
/// power_supply's `temp`, tenths of a °C; nothing outside of -40 to 120 °C.
std::optional<double> parse_battery_temperature(std::string_view text);
/// thermal_zone's `temp`, thousandths of a °C; nothing outside of -40 to 150 °C: sensors that are off say
/// such.
std::optional<double> parse_zone_temperature(std::string_view text);

/// Nothing when there is none, or when it is hidden, which is then said in `hidden`. Runs a program on
/// Android.
std::optional<BatteryFacts> read_battery(const SystemView& view, bool android, HiddenFacts& hidden);
/// At most 256, in the system's order.
std::vector<ThermalZone> read_thermal_zones(const fs::path& root, HiddenFacts& hidden);
/// The hottest sensor of the processor itself, by its name; others (modem, skin, charger) have other limits.
/// Null without one; points into `zones`.
const ThermalZone* hottest_of_processor(const std::vector<ThermalZone>& zones);

/// What changes from minute to minute and decides how much a device should carry.
struct Senses {
  std::optional<BatteryFacts> battery;
  std::optional<double> processor;  ///< °C
};
/// Blocks for some files, and on Android for a program that may take seconds.
Senses read_senses(const SystemView& system);

}  // namespace caravan::device
