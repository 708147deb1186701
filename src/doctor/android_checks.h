// What Android does to a program that runs for long: which settings of it still endanger this device's part.
// Sources: https://github.com/agnostic-apollo/Android-Docs (phantom processes), Termux's TermuxConstants
// (where its app came from), Android's dumpsys deviceidle.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "device/android.h"
#include "device/system_view.h"
#include "doctor/check.h"

namespace caravan::doctor {

/// A variable of the environment; tests give others.
using Environment = std::function<std::optional<std::string>(const char* name)>;

struct AndroidState {
  std::optional<device::AndroidFacts> android;  ///< nothing: it is not Android
  bool termux = false;
  std::string termux_version;           ///< $TERMUX_VERSION, or empty
  std::string termux_release;           ///< $TERMUX_APK_RELEASE, e.g. "F_DROID", or empty
  std::optional<bool> phantom_monitor;  ///< whether child processes are counted and killed; nothing: hidden
  std::optional<std::int64_t> phantom_limit;  ///< how many may run; nothing: hidden
  std::optional<bool> unrestricted;           ///< Termux is left out of battery optimisation; nothing: hidden
};

/// "true" and "false", as `settings` and `getprop` print them; nothing for anything else ("null", an error).
std::optional<bool> parse_switch(std::string_view text);
/// Whether Termux is among the lines "user,com.termux,10123" of `dumpsys deviceidle whitelist`; nothing when
/// the text is no such list, as when Android does not allow it.
std::optional<bool> parse_battery_whitelist(std::string_view text);

/// Pure.
Finding termux_source(const AndroidState& state);
Finding phantom_processes(const AndroidState& state);
Finding battery_optimisation(const AndroidState& state);
Finding wake_lock(const AndroidState& state);

/// Runs some of Android's programs: blocks for seconds.
AndroidState read_android_state(const device::SystemView& system, const Environment& environment);

Step android_step(device::SystemView system, Environment environment);

}  // namespace caravan::doctor
