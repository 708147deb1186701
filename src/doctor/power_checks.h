// Heat, battery, and whether the device saves power at the expense of speed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "device/power.h"
#include "doctor/check.h"

namespace caravan::doctor {

/// How a core's clock rate is chosen (Linux Documentation/admin-guide/pm/cpufreq.rst).
struct Governor {
  std::string cpu;     ///< "cpu0"
  std::string name;    ///< scaling_governor
  std::string driver;  ///< scaling_driver, or empty
};

struct PowerState {
  bool android = false;
  bool termux = false;
  std::optional<device::BatteryFacts> battery;
  std::vector<device::ThermalZone> zones;
  device::HiddenFacts hidden;
  std::vector<Governor> governors;
  std::optional<bool> saver;  ///< Android's battery saver; nothing: it does not say
};

/// Pure.
Finding heat(const PowerState& state);
Finding battery_charge(const PowerState& state);
Finding power_saving(const PowerState& state);
Finding termux_api(const PowerState& state);

/// `settings get global low_power` prints 1 or 0; nothing for anything else.
std::optional<bool> parse_saver(std::string_view text);

/// Runs programs on Android: blocks for some seconds.
PowerState read_power_state(const device::SystemView& system);

Step power_step(device::SystemView system);

}  // namespace caravan::doctor
