#include "doctor/android_checks.h"

#include <map>

#include <gmock/gmock.h>

#include "device/fixture.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

AndroidState healthy() {
  AndroidState state;
  state.android = device::AndroidFacts{"14", 34, "Google Pixel 8", std::nullopt};
  state.termux = true;
  state.termux_version = "0.118.1";
  state.termux_release = "F_DROID";
  state.phantom_monitor = false;
  state.unrestricted = true;
  return state;
}

Environment environment_of(const std::map<std::string, std::string>& values) {
  return [values](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(AndroidChecks, AHealthyPhone) {
  for (const auto check : {termux_source, phantom_processes, battery_optimisation}) {
    EXPECT_EQ(check(healthy()).status, Status::ok) << check(healthy()).found;
  }
}

TEST(AndroidChecks, NotAndroid) {
  AndroidState state = healthy();
  state.android.reset();
  for (const auto check : {termux_source, phantom_processes, battery_optimisation, wake_lock})
    EXPECT_EQ(check(state).status, Status::skipped);
}

TEST(AndroidChecks, TermuxFromThePlayStore) {
  AndroidState state = healthy();
  state.termux_release = "GOOGLE_PLAY_STORE";
  EXPECT_EQ(termux_source(state).status, Status::problem);
  EXPECT_THAT(termux_source(state).cure, Contains(HasSubstr("f-droid.org")));
  state = healthy();
  state.termux_release.clear();
  state.termux_version = "googleplay.2026.02.11";
  EXPECT_EQ(termux_source(state).status, Status::problem);
  state.termux_version.clear();
  EXPECT_EQ(termux_source(state).status, Status::note);
}

TEST(AndroidChecks, PhantomProcesses) {
  AndroidState state = healthy();
  state.phantom_monitor.reset();
  EXPECT_EQ(phantom_processes(state).status, Status::warning);
  EXPECT_THAT(phantom_processes(state).cure, Contains(HasSubstr("Disable child process restrictions")));
  EXPECT_THAT(
      phantom_processes(state).cure,
      Contains(HasSubstr("adb shell settings put global settings_enable_monitor_phantom_procs false")));
  state.phantom_monitor = true;
  EXPECT_EQ(phantom_processes(state).status, Status::problem);
  state.phantom_limit = 2147483647;
  EXPECT_EQ(phantom_processes(state).status, Status::ok);
  state.phantom_limit = 32;
  state.android->api_level = 31;  // Android 12 has no setting
  EXPECT_THAT(phantom_processes(state).cure,
              Contains(HasSubstr("device_config put activity_manager max_phantom_processes 2147483647")));
  state.android->api_level = 30;
  EXPECT_EQ(phantom_processes(state).status, Status::ok);
}

TEST(AndroidChecks, BatteryOptimisationAndWakeLock) {
  AndroidState state = healthy();
  state.unrestricted = false;
  EXPECT_EQ(battery_optimisation(state).status, Status::problem);
  state.unrestricted.reset();
  EXPECT_EQ(battery_optimisation(state).status, Status::note);
  EXPECT_THAT(battery_optimisation(state).cure,
              Contains(HasSubstr("dumpsys deviceidle whitelist +com.termux")));
  EXPECT_EQ(wake_lock(state).status, Status::note);
  EXPECT_THAT(wake_lock(state).cure, Contains("termux-wake-lock"));
}

TEST(AndroidChecks, APhoneThatTells) {
  device::SystemView system = device::fixture("tensor-g3");
  system.run = [inner = system.run](const std::vector<std::string>& arguments,
                                    std::chrono::milliseconds deadline) -> Result<std::string> {
    if (arguments.front() == "settings") return std::string("false\n");
    if (arguments.front() == "device_config") return std::string("null\n");
    if (arguments.front() == "dumpsys")
      return std::string("system,com.android.shell,2000\nuser,com.termux,10123\n");
    if (arguments.size() == 2) return std::string("\n");  // getprop NAME of a property that is not set
    return inner(arguments, deadline);
  };
  const AndroidState state = read_android_state(
      system, environment_of({{"TERMUX_VERSION", "0.118.3"}, {"TERMUX_APK_RELEASE", "GITHUB"}}));
  EXPECT_EQ(state.phantom_monitor, false);
  EXPECT_FALSE(state.phantom_limit);
  EXPECT_EQ(state.unrestricted, true);
  EXPECT_THAT(termux_source(state).found, HasSubstr("0.118.3, GITHUB"));
}

TEST(AndroidChecks, APhoneThatHidesEverything) {
  device::SystemView system = device::fixture("mediatek-helio-g85");
  system.run = [inner = system.run](const std::vector<std::string>& arguments,
                                    std::chrono::milliseconds deadline) -> Result<std::string> {
    if (arguments.front() == "dumpsys")
      return std::string("Permission Denial: can't dump deviceidle from pid=1, uid=10123\n");
    return arguments.size() == 1 ? inner(arguments, deadline) : Error{Code::invalid, "settings failed", ""};
  };
  const AndroidState state =
      read_android_state(system, environment_of({{"TERMUX_APP__APK_RELEASE", "F_DROID"}}));
  EXPECT_FALSE(state.phantom_monitor);
  EXPECT_FALSE(state.unrestricted);
  EXPECT_EQ(state.termux_release, "F_DROID");
}

TEST(AndroidChecks, WhatProgramsPrint) {
  EXPECT_EQ(parse_switch("false\n"), false);
  EXPECT_EQ(parse_switch("true"), true);
  for (const char* none : {"", "null", "truefalse", "1"}) EXPECT_FALSE(parse_switch(none)) << none;
  EXPECT_EQ(parse_battery_whitelist("user,com.other,10001\n"), false);
  for (const char* none : {"", "a,b", "a,com.termux,x", ",,"})
    EXPECT_FALSE(parse_battery_whitelist(none)) << none;
}

}  // namespace
}  // namespace caravan::doctor
