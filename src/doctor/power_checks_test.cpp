#include "doctor/power_checks.h"

#include <gmock/gmock.h>

#include "base/files.h"
#include "device/fixture.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

PowerState healthy() {
  PowerState state;
  state.battery = device::BatteryFacts{80, true, true, 31.5};
  state.zones = {{"cpu-0-0", 45}, {"modem", 95}};
  state.governors = {{"cpu0", "schedutil", "qcom-cpufreq-hw"}};
  state.saver = false;
  return state;
}

TEST(PowerChecks, AHealthyDevice) {
  for (const auto check : {heat, battery_charge, power_saving}) {
    EXPECT_EQ(check(healthy()).status, Status::ok) << check(healthy()).found;
  }
  PowerState android = healthy();
  android.android = true;
  EXPECT_EQ(termux_api(android).status, Status::ok);
  EXPECT_EQ(termux_api(healthy()).status, Status::skipped);
}

TEST(PowerChecks, Heat) {
  PowerState state = healthy();
  state.battery->temperature = 43.1;
  EXPECT_EQ(heat(state).status, Status::warning);
  EXPECT_THAT(heat(state).found, HasSubstr("43.1"));
  state.battery->temperature = 49;
  EXPECT_EQ(heat(state).status, Status::problem);
  state.battery.reset();
  state.zones = {{"CPU-big", 91}, {"modem", 20}};
  EXPECT_EQ(heat(state).status, Status::warning);
  EXPECT_THAT(heat(state).found, HasSubstr("CPU-big"));
  state.zones.clear();
  EXPECT_EQ(heat(state).status, Status::skipped);
}

TEST(PowerChecks, ALowBattery) {
  PowerState state = healthy();
  state.battery = device::BatteryFacts{22, false, false, 30};
  EXPECT_EQ(battery_charge(state).status, Status::warning);
  state.battery->level = 7;
  EXPECT_EQ(battery_charge(state).status, Status::problem);
  EXPECT_THAT(battery_charge(state).found, HasSubstr("7 %, not charging"));
  state.battery->charging = true;
  EXPECT_EQ(battery_charge(state).status, Status::ok);
  state.battery.reset();
  EXPECT_EQ(battery_charge(state).status, Status::ok);
}

TEST(PowerChecks, PowerSaving) {
  PowerState state = healthy();
  state.saver = true;
  EXPECT_EQ(power_saving(state).status, Status::warning);
  EXPECT_THAT(power_saving(state).cure, Contains(HasSubstr("adb shell settings put global low_power 0")));
  state = healthy();
  state.governors.push_back({"cpu4", "powersave", "cpufreq-dt"});
  EXPECT_EQ(power_saving(state).status, Status::warning);
  EXPECT_THAT(power_saving(state).found, HasSubstr("cpu4"));
  state.governors = {{"cpu0", "powersave", "intel_pstate"}, {"cpu1", "powersave", "amd-pstate-epp"}};
  EXPECT_EQ(power_saving(state).status, Status::ok);
  state.governors.clear();
  state.saver.reset();
  EXPECT_EQ(power_saving(state).status, Status::skipped);
}

TEST(PowerChecks, TermuxApiThatIsMissingOrSilent) {
  const PowerState missing = read_power_state(device::fixture("snapdragon-695"));
  EXPECT_EQ(termux_api(missing).status, Status::warning);
  EXPECT_THAT(termux_api(missing).found, HasSubstr("not installed"));
  EXPECT_THAT(termux_api(missing).cure, Contains(HasSubstr("pkg install termux-api")));
  EXPECT_EQ(battery_charge(missing).status, Status::skipped);
  const PowerState there = read_power_state(device::fixture("tensor-g3"));
  EXPECT_EQ(termux_api(there).status, Status::ok);
}

TEST(PowerChecks, GovernorsAreRead) {
  const auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const fs::path core = folder->path() / "sys/devices/system/cpu/cpu3/cpufreq";
  ASSERT_TRUE(make_private_folder(core).ok());
  ASSERT_TRUE(write_file_atomically(core / "scaling_governor", "powersave\n").ok());
  device::SystemView system;
  system.root = folder->path();
  EXPECT_THAT(power_saving(read_power_state(system)).found, HasSubstr("cpu3"));
}

TEST(PowerChecks, WhatSettingsPrints) {
  EXPECT_EQ(parse_saver("1\n"), true);
  EXPECT_EQ(parse_saver("0"), false);
  for (const char* none : {"", "null\n", "2", "Exception occurred", "11"})
    EXPECT_FALSE(parse_saver(none)) << none;
}

}  // namespace
}  // namespace caravan::doctor
