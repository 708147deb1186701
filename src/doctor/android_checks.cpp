#include "doctor/android_checks.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "device/source.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{15};
constexpr int kAndroid12 = 31;
constexpr int kAndroid12L = 32;
constexpr int kAndroid14 = 34;
/// What Caravan, its engine and a person's shells take together stays far below.
constexpr std::int64_t kEnoughProcesses = 256;
constexpr std::string_view kPlayStore = "from Google Play";

const Finding& not_android() {
  static const Finding finding = skipped("not Android");
  return finding;
}

/// The newest Android turned the setting into a switch for people; before 12L there is only a number, which
/// the system overwrites unless that is switched off.
std::vector<std::string> stop_phantom_killer(std::optional<int> api_level) {
  std::vector<std::string> cure;
  if (api_level.value_or(kAndroid14) >= kAndroid14)
    cure.emplace_back("Settings > System > Developer options > Disable child process restrictions: on");
  if (api_level.value_or(kAndroid12L) >= kAndroid12L) {
    cure.emplace_back(
        "or, from a computer: adb shell settings put global settings_enable_monitor_phantom_procs false");
    return cure;
  }
  cure.emplace_back(
      "from a computer: adb shell /system/bin/device_config set_sync_disabled_for_tests persistent");
  cure.emplace_back(
      "adb shell /system/bin/device_config put activity_manager max_phantom_processes 2147483647");
  return cure;
}

std::vector<std::string> lift_battery_limits() {
  return {"Settings > Apps > Termux > Battery > Unrestricted",
          "or, from a computer: adb shell dumpsys deviceidle whitelist +com.termux"};
}

bool is_from_play_store(const AndroidState& state) {
  return state.termux_release.rfind("GOOGLE_PLAY", 0) == 0 ||
         state.termux_version.rfind("googleplay", 0) == 0;
}

std::optional<std::string> ask(const device::SystemView& system, const std::vector<std::string>& arguments) {
  auto text = device::run_program(system, arguments);
  return text ? std::optional(std::move(*text)) : std::nullopt;
}

/// The property is what Android 14's switch for people sets, the setting what adb sets.
std::optional<bool> read_phantom_monitor(const device::SystemView& system) {
  constexpr const char* kSetting = "settings_enable_monitor_phantom_procs";
  const auto property = ask(system, {"getprop", std::string("persist.sys.fflag.override.") + kSetting});
  if (const auto is_on = parse_switch(property.value_or(""))) return is_on;
  return parse_switch(ask(system, {"settings", "get", "global", kSetting}).value_or(""));
}

}  // namespace

std::optional<bool> parse_switch(std::string_view text) {
  text = trim(text);
  if (text != "true" && text != "false") return std::nullopt;
  return text == "true";
}

std::optional<bool> parse_battery_whitelist(std::string_view text) {
  bool is_list = false;
  for (const std::string& line : split(text, '\n')) {
    const auto fields = split(trim(line), ',');
    if (fields.size() != 3 || !device::parse_integer(fields[2])) continue;
    is_list = true;
    if (fields[1] == "com.termux") return true;
  }
  return is_list ? std::optional(false) : std::nullopt;
}

Finding termux_source(const AndroidState& state) {
  if (!state.android) return not_android();
  if (!state.termux) return skipped("not in Termux");
  if (is_from_play_store(state)) {
    return {Status::problem,
            fmt::format("Termux {} is {}", state.termux_version, kPlayStore),
            "that build lacks Termux:API, so that heat and battery stay hidden, and its packages differ",
            {"back up what you need, uninstall Termux and its add-ons",
             "install it from https://f-droid.org/packages/com.termux or "
             "https://github.com/termux/termux-app/releases"}};
  }
  if (state.termux_version.empty()) {
    return {Status::note,
            "which Termux this is cannot be told: TERMUX_VERSION is not set",
            "versions before 0.118 are insecure and get no packages any more",
            {"termux-info    # in Termux itself, not over ssh"}};
  }
  const std::string from = state.termux_release.empty() ? "" : ", " + state.termux_release;
  return ok(fmt::format("Termux {}{}", state.termux_version, from));
}

Finding phantom_processes(const AndroidState& state) {
  if (!state.android) return not_android();
  const auto level = state.android->api_level;
  if (level && *level < kAndroid12) return ok("this Android does not count child processes");
  if (state.phantom_monitor == false) return ok("child processes are not counted");
  if (state.phantom_limit && *state.phantom_limit >= kEnoughProcesses)
    return ok(fmt::format("{} child processes are allowed", *state.phantom_limit));
  constexpr const char* kWhy =
      "it kills programs that an app has started when there are more than 32 of all apps together, or when "
      "they "
      "compute for long in the background: the engine ends with signal 9";
  const bool known = state.phantom_monitor.has_value() || state.phantom_limit.has_value();
  return {known ? Status::problem : Status::warning,
          known ? "Android counts child processes and kills them"
                : "Android 12 and newer kills child processes; whether that is switched off is hidden",
          kWhy, stop_phantom_killer(level)};
}

Finding battery_optimisation(const AndroidState& state) {
  if (!state.android) return not_android();
  if (!state.termux) return skipped("not in Termux");
  if (state.unrestricted == true) return ok("Termux is left out of it");
  constexpr const char* kWhy = "Android puts apps to sleep when the screen is off, and Caravan with them";
  if (state.unrestricted == false)
    return {Status::problem, "Android saves battery on Termux", kWhy, lift_battery_limits()};
  return {Status::note, "Android hides whether it saves battery on Termux", kWhy, lift_battery_limits()};
}

Finding wake_lock(const AndroidState& state) {
  if (!state.android) return not_android();
  if (!state.termux) return skipped("not in Termux");
  return {Status::note,
          "Android hides whether Termux holds its wake lock (its notification says \"wake lock held\")",
          "without it the processor sleeps when the screen is off, and this device is lost",
          {"termux-wake-lock"}};
}

AndroidState read_android_state(const device::SystemView& system, const Environment& environment) {
  AndroidState state;
  device::HiddenFacts hidden;  // what is not told shows as a fact that is not there
  state.android = device::read_android(system, hidden);
  state.termux = device::is_termux(system.root);
  if (!state.android) return state;
  state.termux_version = printable(environment("TERMUX_VERSION").value_or(""));
  for (const char* name : {"TERMUX_APP__APK_RELEASE", "TERMUX_APK_RELEASE"}) {
    if (state.termux_release.empty()) state.termux_release = printable(environment(name).value_or(""));
  }
  state.phantom_monitor = read_phantom_monitor(system);
  state.phantom_limit = device::parse_integer(
      ask(system, {"device_config", "get", "activity_manager", "max_phantom_processes"}).value_or(""));
  state.unrestricted =
      parse_battery_whitelist(ask(system, {"dumpsys", "deviceidle", "whitelist"}).value_or(""));
  return state;
}

Step android_step(device::SystemView system, Environment environment) {
  return make_step<AndroidState>(
      {{{"termux-source", "where Termux came from"}, termux_source},
       {{"phantom-processes", "Android 12 and newer kills child processes"}, phantom_processes},
       {{"battery-optimisation", "Android puts Termux to sleep"}, battery_optimisation},
       {{"wake-lock", "Termux keeps the processor awake"}, wake_lock}},
      kLimit, [system = std::move(system), environment = std::move(environment)] {
        return read_android_state(system, environment);
      });
}

}  // namespace caravan::doctor
