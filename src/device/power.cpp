#include "device/power.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "device/android.h"
#include "device/termux.h"

namespace caravan::device {
namespace {

constexpr std::size_t kMaxZones = 256;
constexpr double kColdest = -40;
constexpr double kHottestBattery = 120;
constexpr double kHottestZone = 150;

std::optional<double> plausible(std::optional<double> celsius, double hottest) {
  if (!celsius || *celsius < kColdest || *celsius > hottest) return std::nullopt;
  return celsius;
}

std::optional<int> level_from(std::optional<double> percent) {
  if (!percent || *percent < 0 || *percent > 100) return std::nullopt;
  return static_cast<int>(std::lround(*percent));
}

std::optional<double> scaled(std::string_view text, double unit) {
  const auto number = parse_integer(text);
  return number ? std::optional(static_cast<double>(*number) / unit) : std::nullopt;
}

/// The device's own battery: not that of a mouse or pen ("scope" is "Device"), and not an empty slot.
bool is_own_battery(const fs::path& supply) {
  return read_line(supply / "type") == "Battery" && read_line(supply / "scope") != "Device" &&
         read_integer(supply / "present") != 0;
}

BatteryFacts battery_from(const fs::path& supply) {
  const auto level = read_integer(supply / "capacity");
  const auto status = read_line(supply / "status");
  const auto temperature = read_line(supply / "temp");
  return {.level = level ? level_from(static_cast<double>(*level)) : std::nullopt,
          .charging = status ? parse_charging(*status) : std::nullopt,
          .temperature = temperature ? parse_battery_temperature(*temperature) : std::nullopt};
}

/// Documentation/ABI/testing/sysfs-class-power.
std::optional<BatteryFacts> read_power_supplies(const fs::path& root, HiddenFacts& hidden) {
  const fs::path folder = root / "sys/class/power_supply";
  const auto names = names_in(folder, "");
  std::optional<BatteryFacts> battery;
  std::optional<bool> plugged;
  if (!names) {
    hidden.push_back({"battery", why(names.error()), ""});
    return std::nullopt;
  }
  for (const std::string& name : *names) {
    if (!battery && is_own_battery(folder / name)) battery = battery_from(folder / name);
    const auto online = read_integer(folder / name / "online");
    if (online && read_line(folder / name / "type") != "Battery")
      plugged = plugged.value_or(false) || *online > 0;
  }
  if (!battery) return std::nullopt;
  battery->plugged = plugged;
  if (!battery->level && !battery->charging && !battery->temperature) {
    hidden.push_back({"battery", "the system shows that there is one, and nothing about it", ""});
    return std::nullopt;
  }
  if (!battery->temperature) hidden.push_back({"battery.temperature", "the system does not show it", ""});
  return battery;
}

}  // namespace

Result<BatteryFacts> parse_termux_battery(std::string_view text) {
  const auto object = parse_termux_object(text);
  if (!object) return object.error();
  BatteryFacts facts;
  facts.level = level_from(number_in(*object, "percentage"));
  const std::string status = text_in(*object, "status");
  if (status == "CHARGING" || status == "FULL") facts.charging = true;
  if (status == "DISCHARGING" || status == "NOT_CHARGING") facts.charging = false;
  const std::string plugged = text_in(*object, "plugged");
  if (plugged.rfind("PLUGGED_", 0) == 0 && plugged != "PLUGGED_-1") facts.plugged = true;
  if (plugged == "UNPLUGGED") facts.plugged = false;
  facts.temperature = plausible(number_in(*object, "temperature"), kHottestBattery);
  if (!facts.level && !facts.charging && !facts.temperature) {
    return Error{Code::invalid, "it says nothing about a battery", ""};
  }
  return facts;
}

std::optional<bool> parse_charging(std::string_view status) {
  status = trim(status);
  if (status == "Charging" || status == "Full") return true;
  if (status == "Discharging" || status == "Not charging") return false;
  return std::nullopt;
}

std::optional<double> parse_battery_temperature(std::string_view text) {
  return plausible(scaled(text, 10), kHottestBattery);
}

std::optional<double> parse_zone_temperature(std::string_view text) {
  return plausible(scaled(text, 1000), kHottestZone);
}

std::optional<BatteryFacts> read_battery(const SystemView& view, bool android, HiddenFacts& hidden) {
  if (!android) return read_power_supplies(view.root, hidden);
  const auto text = run_program(view, {"termux-battery-status"});
  const auto told = text ? parse_termux_battery(*text) : Result<BatteryFacts>(text.error());
  if (told) return *told;
  HiddenFacts ignored;  // what /sys hides on Android is better said with Termux:API's cure
  auto battery = read_power_supplies(view.root, ignored);
  const bool whole = battery && battery->level && battery->temperature;
  if (!whole) {
    hidden.push_back(hidden_behind_termux(battery ? "battery.temperature" : "battery", told.error(),
                                          is_termux(view.root)));
  }
  return battery;
}

std::vector<ThermalZone> read_thermal_zones(const fs::path& root, HiddenFacts& hidden) {
  const fs::path folder = root / "sys/class/thermal";
  const auto names = names_in(folder, "thermal_zone");
  std::vector<ThermalZone> zones;
  if (!names) {
    hidden.push_back({"thermal_zones", why(names.error()), ""});
    return zones;
  }
  for (const std::string& name : *names) {
    if (zones.size() == kMaxZones) break;
    const auto text = read_line(folder / name / "temp");
    const auto temperature = text ? parse_zone_temperature(*text) : std::nullopt;
    if (temperature) zones.push_back({read_line(folder / name / "type").value_or(name), *temperature});
  }
  if (zones.empty() && !names->empty()) {
    hidden.push_back({"thermal_zones", "the system does not allow programs to read their temperatures", ""});
  }
  return zones;
}

const ThermalZone* hottest_of_processor(const std::vector<ThermalZone>& zones) {
  constexpr std::array<std::string_view, 7> kParts{"cpu", "soc", "pkg", "core", "tsens", "acpitz", "apc"};
  const auto is_of_processor = [&](const ThermalZone& zone) {
    std::string name = zone.name;
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return std::any_of(kParts.begin(), kParts.end(),
                       [&](std::string_view part) { return name.find(part) != std::string::npos; });
  };
  const ThermalZone* hottest = nullptr;
  for (const ThermalZone& zone : zones) {
    if (is_of_processor(zone) && (hottest == nullptr || zone.temperature > hottest->temperature))
      hottest = &zone;
  }
  return hottest;
}

Senses read_senses(const SystemView& system) {
  HiddenFacts hidden;  // what is hidden is the doctor's business
  Senses senses;
  senses.battery = read_battery(system, is_android(system.root), hidden);
  const std::vector<ThermalZone> zones = read_thermal_zones(system.root, hidden);
  if (const ThermalZone* hottest = hottest_of_processor(zones)) senses.processor = hottest->temperature;
  return senses;
}

}  // namespace caravan::device
