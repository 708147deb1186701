#include "cli/device.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/device_table.h"

namespace caravan::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A phone that tells everything.
device::DeviceFacts phone() {
  device::DeviceFacts facts;
  facts.model = "Google Pixel 8";
  facts.android = device::AndroidFacts{.version = "15", .api_level = 35};
  facts.termux = true;
  facts.memory.total = mebibytes(7444);
  facts.memory.policy = {mebibytes(3453), mebibytes(465), "3.83 GiB are available now"};
  facts.processor = {"Google Tensor G3", "aarch64", {"dotprod", "i8mm"}};
  facts.cores.clusters = {
      {.design = "Cortex-X3", .cpus = {8}, .cores = 1, .max_mhz = 2914},
      {.design = "Cortex-A510", .cpus = {0, 1, 2, 3}, .cores = 4, .max_mhz = 1704, .little = true}};
  facts.cores.decode = {1, "one for each of 1 big core"};
  facts.storage = device::StorageFacts{"/models", mebibytes(2048)};
  facts.battery = device::BatteryFacts{.level = 64, .charging = true, .plugged = true, .temperature = 36.1};
  facts.thermal_zones = {{"skin", 35}, {"cpu", 58.3}};
  facts.wifi = device::WifiFacts{true, 6135, 2161.0, -66};
  facts.addresses = {{"wlan0", "fd00::1", true}, {"wlan0", "192.168.1.24", false}};
  return facts;
}

TEST(DeviceTable, SaysWhatTheDeviceCanGive) {
  EXPECT_EQ(table_of(phone()), R"(device      Google Pixel 8, Android 15, in Termux
memory      3.37 GiB for a model, of 7.27 GiB in all
            3.83 GiB are available now
processor   Google Tensor G3 (aarch64)
cores       1 Cortex-X3 at 2.91 GHz + 4 Cortex-A510 at 1.70 GHz (little)
threads     1: one for each of 1 big core
features    dotprod i8mm
storage     2.00 GiB free in /models
battery     64 %, charging, 36.1 °C
heat        58.3 °C at cpu, the hottest of 2 sensors
wi-fi       6 GHz, 2161 Mbit/s, signal fair (-66 dBm)
addresses   192.168.1.24 (wlan0), fd00::1 (wlan0)
)");
}

TEST(DeviceTable, SaysWhatIsHiddenAndEachCureOnce) {
  device::DeviceFacts facts = phone();
  facts.battery.reset();
  facts.wifi.reset();
  facts.thermal_zones.clear();
  facts.hidden = {{"battery", "Termux:API is not installed", "pkg install termux-api"},
                  {"thermal_zones", "the system does not allow it", ""},
                  {"wifi", "Termux:API is not installed", "pkg install termux-api"}};
  const std::string table = table_of(facts);
  EXPECT_THAT(table, HasSubstr("\nbattery     hidden\nheat        hidden\nwi-fi       hidden\n"));
  EXPECT_THAT(table, HasSubstr("\nHidden by the system:\n  battery: Termux:API is not installed\n"));
  const std::size_t cure = table.find("to see more: pkg install termux-api");
  ASSERT_NE(cure, std::string::npos);
  EXPECT_EQ(table.find("pkg install", cure + 20), std::string::npos);
}

TEST(DeviceTable, WhatTheDeviceDoesNotHaveIsNotHidden) {
  const std::string table = table_of({});
  EXPECT_THAT(table, HasSubstr("battery     none\nheat        no sensors\nwi-fi       none\n"));
  EXPECT_THAT(table, HasSubstr("addresses   none: not on a network\n"));
  EXPECT_THAT(table, HasSubstr("memory      hidden\n"));
  EXPECT_THAT(table, Not(HasSubstr("Hidden by the system")));
}

TEST(DeviceTable, FitsOnAScreenAndLetsNoEscapesThrough) {
  device::DeviceFacts facts = phone();
  facts.model = "Pixel\x1b[2J";
  facts.addresses.assign(20, {"wlan0", "192.168.1.24", false});
  facts.thermal_zones.assign(90, {"cpu", 40});
  facts.wifi->connected = false;
  const std::string table = table_of(facts);
  EXPECT_THAT(table, Not(HasSubstr("\x1b")));
  EXPECT_THAT(table, HasSubstr(", 17 more\n"));
  EXPECT_THAT(table, HasSubstr("wi-fi       not connected\n"));
  EXPECT_LE(split(table, '\n').size(), 24U);
}

/// As `caravan device WORDS...`
std::string run(std::vector<std::string> words) {
  CLI::App root("caravan");
  std::function<int()> chosen;
  add_device(root, [&](std::function<int()> command) { chosen = std::move(command); });
  words.insert(words.begin(), "device");
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  root.parse(words);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(chosen(), 0);
  return ::testing::internal::GetCapturedStdout();
}

TEST(DeviceCommand, OfThisMachine) {
  EXPECT_THAT(run({}), HasSubstr(" for a model, of "));
  const auto json = parse_json(run({"--json"}), 1U << 20U);
  ASSERT_TRUE(json.ok());
  EXPECT_TRUE((*json)["memory"]["usable"].is_number_unsigned());
  EXPECT_GE((*json)["cores"]["decode_threads"].get<int>(), 1);
  EXPECT_TRUE((*json)["hidden"].is_array());
}

TEST(DeviceCommand, HelpHasExamples) {
  CLI::App root("caravan");
  add_device(root, [](const std::function<int()>&) {});
  EXPECT_THAT(root.get_subcommand("device")->help(), HasSubstr("caravan device --json"));
}

}  // namespace
}  // namespace caravan::cli
