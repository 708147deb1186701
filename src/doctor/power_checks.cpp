#include "doctor/power_checks.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "device/android.h"
#include "device/source.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{15};  // two programs that may each take 5 s
constexpr double kWarmBattery = 42;         // where the design drains a device
constexpr double kHotBattery = 48;
constexpr double kHotProcessor = 85;
constexpr int kLowBattery = 30;
constexpr int kEmptyBattery = 15;

/// Processors that choose their clock rate themselves call their usual mode so too.
bool saves_power(const Governor& governor) {
  return governor.name == "powersave" && governor.driver.rfind("intel_pstate", 0) != 0 &&
         governor.driver.rfind("amd-pstate", 0) != 0;
}

std::vector<Governor> read_governors(const fs::path& root) {
  const fs::path folder = root / "sys/devices/system/cpu";
  std::vector<Governor> governors;
  const auto names = device::names_in(folder, "cpu");
  if (!names) return governors;
  for (const std::string& cpu : *names) {
    const auto name = device::read_line(folder / cpu / "cpufreq/scaling_governor");
    if (!name) continue;
    governors.push_back(
        {cpu, *name, device::read_line(folder / cpu / "cpufreq/scaling_driver").value_or("")});
  }
  return governors;
}

const device::HiddenFact* hidden_battery(const PowerState& state) {
  for (const device::HiddenFact& one : state.hidden) {
    if (one.fact.rfind("battery", 0) == 0) return &one;
  }
  return nullptr;
}

}  // namespace

std::optional<bool> parse_saver(std::string_view text) {
  const auto number = device::parse_integer(text);
  if (!number || (*number != 0 && *number != 1)) return std::nullopt;
  return *number == 1;
}

Finding heat(const PowerState& state) {
  const std::vector<std::string> cure{"take it out of its case, off the charger and out of the sun",
                                      "let it cool for some minutes; fewer layers heat it less"};
  constexpr const char* kWhy = "a hot device slows down by itself, ages, and at last switches off";
  const auto battery = state.battery ? state.battery->temperature : std::nullopt;
  if (battery && *battery >= kWarmBattery) {
    const bool hot = *battery >= kHotBattery;
    return {hot ? Status::problem : Status::warning, fmt::format("the battery has {:.1f} °C", *battery), kWhy,
            cure};
  }
  const device::ThermalZone* hottest = device::hottest_of_processor(state.zones);
  if (hottest != nullptr && hottest->temperature >= kHotProcessor) {
    return {Status::warning,
            fmt::format("the processor has {:.0f} °C ({})", hottest->temperature, hottest->name), kWhy, cure};
  }
  if (battery) return ok(fmt::format("the battery has {:.1f} °C", *battery));
  if (hottest != nullptr) return ok(fmt::format("the processor has {:.0f} °C", hottest->temperature));
  return skipped("no sensor may be read");
}

Finding battery_charge(const PowerState& state) {
  if (!state.battery) {
    return hidden_battery(state) != nullptr ? skipped("hidden, see termux-api") : ok("no battery");
  }
  const bool charging = state.battery->charging.value_or(false) || state.battery->plugged.value_or(false);
  if (!state.battery->level) return skipped("its level is hidden");
  const int level = *state.battery->level;
  const std::string text = fmt::format("{} %, {}", level, charging ? "charging" : "not charging");
  if (charging || level >= kLowBattery) return ok(text);
  return {level < kEmptyBattery ? Status::problem : Status::warning,
          text,
          "a model empties a battery within hours, and a device that dies takes its layers with it",
          {"connect it to a charger"}};
}

Finding power_saving(const PowerState& state) {
  constexpr const char* kWhy =
      "the processor stays at its lowest clock rates: answers take several times longer";
  if (state.saver.value_or(false)) {
    return {Status::warning,
            "Android's battery saver is on",
            kWhy,
            {"switch it off: Settings > Battery > Battery Saver",
             "or, from a computer: adb shell settings put global low_power 0"}};
  }
  std::vector<std::string> slow;
  for (const Governor& governor : state.governors) {
    if (saves_power(governor)) slow.push_back(governor.cpu);
  }
  if (!slow.empty()) {
    return {Status::warning,
            fmt::format("the governor of {} is powersave", join(slow, ", ")),
            kWhy,
            {"echo schedutil | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"}};
  }
  if (!state.governors.empty()) return ok("governor " + state.governors.front().name);
  return state.saver ? ok("the battery saver is off") : skipped("the system does not tell");
}

Finding termux_api(const PowerState& state) {
  if (!state.android) return skipped("not Android");
  const device::HiddenFact* hidden = hidden_battery(state);
  if (hidden == nullptr) return ok("battery and heat can be read");
  return {Status::warning,
          hidden->why,
          "without battery and heat Caravan cannot take work off this device before it is too hot or empty",
          {hidden->cure}};
}

PowerState read_power_state(const device::SystemView& system) {
  PowerState state;
  state.android = device::is_android(system.root);
  state.termux = device::is_termux(system.root);
  state.battery = device::read_battery(system, state.android, state.hidden);
  device::HiddenFacts hidden_heat;  // usual on Android, and nothing can be done about it
  state.zones = device::read_thermal_zones(system.root, hidden_heat);
  state.governors = read_governors(system.root);
  if (state.android) {
    const auto text = device::run_program(system, {"settings", "get", "global", "low_power"});
    if (text) state.saver = parse_saver(*text);
  }
  return state;
}

Step power_step(device::SystemView system) {
  return make_step<PowerState>({{{"heat", "temperature of battery and processor"}, heat},
                                {{"battery", "its level, and whether it is charged"}, battery_charge},
                                {{"power-saving", "battery saver and processor governor"}, power_saving},
                                {{"termux-api", "Android: battery and heat can be read"}, termux_api}},
                               kLimit, [system = std::move(system)] { return read_power_state(system); });
}

}  // namespace caravan::doctor
