#include "device/facts.h"

#include <gmock/gmock.h>

#include "device/facts_json.h"
#include "device/fixture.h"

namespace caravan::device {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> names_of(const HiddenFacts& hidden) {
  std::vector<std::string> names;
  for (const HiddenFact& one : hidden) names.push_back(one.fact);
  return names;
}

/// "4 Cortex-A510 1704 little" of each cluster.
std::vector<std::string> clusters_of(const DeviceFacts& facts) {
  std::vector<std::string> texts;
  for (const CoreCluster& cluster : facts.cores.clusters) {
    texts.push_back(std::to_string(cluster.cores) + " " + cluster.design + " " +
                    std::to_string(cluster.max_mhz.value_or(0)) + (cluster.little ? " little" : ""));
  }
  return texts;
}

TEST(Fixture, Snapdragon8Gen2) {
  const DeviceFacts facts = read_device_facts(fixture("snapdragon-8-gen-2"));
  EXPECT_EQ(facts.model, "samsung SM-S911B");
  EXPECT_EQ(facts.android->version, "14");
  EXPECT_EQ(facts.android->api_level, 34);
  EXPECT_TRUE(facts.termux);
  EXPECT_EQ(facts.memory.total, Bytes{7376312ULL * 1024});
  EXPECT_EQ(facts.memory.policy.usable, Bytes{2959565312});  // 3351220 kB less a sixteenth of the total
  EXPECT_FALSE(facts.memory.cgroup);
  EXPECT_EQ(facts.processor.name, "Qualcomm SM8550");
  EXPECT_EQ(facts.processor.architecture, "aarch64");
  EXPECT_THAT(facts.processor.features, ElementsAre("fp16", "dotprod", "i8mm", "bf16"));
  EXPECT_THAT(clusters_of(facts), ElementsAre("1 Cortex-X3 3360", "2 Cortex-A715 2803", "2 Cortex-A710 2803",
                                              "3 Cortex-A510 2016 little"));
  EXPECT_EQ(facts.cores.clusters[0].capacity, 1024);
  EXPECT_EQ(facts.cores.decode.count, 5);
  EXPECT_EQ(facts.battery->level, 85);
  EXPECT_EQ(facts.battery->charging, false);
  EXPECT_EQ(facts.battery->plugged, false);
  EXPECT_NEAR(*facts.battery->temperature, 28.4, 0.01);
  EXPECT_TRUE(facts.wifi->connected);
  EXPECT_EQ(band_of(*facts.wifi->frequency_mhz), "5 GHz");
  EXPECT_EQ(facts.wifi->rate_mbit, 1201);
  EXPECT_EQ(facts.wifi->signal_dbm, -52);
  EXPECT_EQ(facts.storage->free, mebibytes(2048));
  EXPECT_THAT(facts.addresses, SizeIs(1));
  EXPECT_THAT(names_of(facts.hidden), ElementsAre("thermal_zones"));
}

TEST(Fixture, Snapdragon695WithoutTermuxApi) {
  const DeviceFacts facts = read_device_facts(fixture("snapdragon-695"));
  EXPECT_EQ(facts.model, "Xiaomi 2201116SG");
  EXPECT_EQ(facts.android->version, "12");
  EXPECT_EQ(facts.memory.policy.usable, Bytes{3766642279});  // what Android leaves of 5662912 kB
  EXPECT_THAT(facts.memory.policy.reason, HasSubstr("Android keeps 1.89 GiB"));
  EXPECT_EQ(facts.processor.name, "Qualcomm SM6375");
  EXPECT_THAT(facts.processor.features, ElementsAre("fp16", "dotprod"));
  EXPECT_THAT(clusters_of(facts), ElementsAre("2 Cortex-A78 2208", "6 Cortex-A55 1804 little"));
  EXPECT_FALSE(facts.cores.clusters[0].capacity);
  EXPECT_EQ(facts.cores.decode.count, 2);
  EXPECT_FALSE(facts.battery);
  EXPECT_FALSE(facts.wifi);
  EXPECT_THAT(names_of(facts.hidden), ElementsAre("battery", "thermal_zones", "wifi"));
  EXPECT_THAT(facts.hidden[0].cure, HasSubstr("pkg install termux-api"));
}

TEST(Fixture, TensorG3) {
  const DeviceFacts facts = read_device_facts(fixture("tensor-g3"));
  EXPECT_EQ(facts.model, "Google Pixel 8");
  EXPECT_EQ(facts.android->api_level, 35);
  EXPECT_EQ(facts.memory.policy.usable, Bytes{3620640512});
  EXPECT_EQ(facts.processor.name, "Google Tensor G3");
  EXPECT_THAT(facts.processor.features, ElementsAre("fp16", "dotprod", "i8mm", "bf16", "sve", "sve2"));
  EXPECT_THAT(clusters_of(facts),
              ElementsAre("1 Cortex-X3 2914", "4 Cortex-A715 2367", "4 Cortex-A510 1704 little"));
  EXPECT_EQ(facts.cores.decode.count, 5);
  EXPECT_EQ(facts.battery->level, 64);
  EXPECT_EQ(facts.battery->charging, true);
  EXPECT_EQ(facts.battery->plugged, true);
  EXPECT_DOUBLE_EQ(*facts.battery->temperature, 36.1);  // text in this version of Termux:API
  EXPECT_EQ(band_of(*facts.wifi->frequency_mhz), "6 GHz");
  EXPECT_EQ(facts.wifi->signal_dbm, -66);
  EXPECT_THAT(names_of(facts.hidden), ElementsAre("thermal_zones"));
}

TEST(Fixture, MediaTekHelioG85WithTermuxApiThatDoesNotAnswer) {
  const DeviceFacts facts = read_device_facts(fixture("mediatek-helio-g85"));
  EXPECT_EQ(facts.model, "realme RMX3061");
  EXPECT_EQ(facts.android->version, "11");
  EXPECT_EQ(facts.memory.policy.usable, Bytes{1448197376});
  EXPECT_EQ(facts.processor.name, "MT6769V/CZ");
  EXPECT_THAT(facts.processor.features, ElementsAre("fp16", "dotprod"));
  EXPECT_THAT(clusters_of(facts), ElementsAre("2 Cortex-A75 2000", "6 Cortex-A55 1800 little"));
  EXPECT_EQ(facts.cores.decode.count, 2);
  EXPECT_EQ(facts.battery->level, 37);  // from /sys, which this phone still shows
  EXPECT_EQ(facts.battery->charging, false);
  EXPECT_EQ(facts.battery->plugged, false);
  EXPECT_DOUBLE_EQ(*facts.battery->temperature, 41.2);
  ASSERT_THAT(facts.thermal_zones, SizeIs(3));  // the fourth says -127 °C
  EXPECT_EQ(facts.thermal_zones[0].name, "mtktscpu");
  EXPECT_DOUBLE_EQ(facts.thermal_zones[0].temperature, 58.3);
  EXPECT_THAT(names_of(facts.hidden), ElementsAre("wifi"));
  EXPECT_THAT(facts.hidden[0].cure, HasSubstr("the app Termux:API"));
}

TEST(Fixture, RaspberryPi5) {
  const DeviceFacts facts = read_device_facts(fixture("raspberry-pi-5"));
  EXPECT_EQ(facts.model, "Raspberry Pi 5 Model B Rev 1.0");
  EXPECT_FALSE(facts.android);
  EXPECT_FALSE(facts.termux);
  EXPECT_EQ(facts.memory.policy.usable, Bytes{6850988032});
  EXPECT_FALSE(facts.memory.cgroup);  // "max" at every level
  EXPECT_EQ(facts.processor.name, "bcm2712");
  EXPECT_THAT(facts.processor.features, ElementsAre("fp16", "dotprod"));
  EXPECT_THAT(clusters_of(facts), ElementsAre("4 Cortex-A76 2400"));
  EXPECT_EQ(facts.cores.decode.count, 4);
  EXPECT_FALSE(facts.battery);  // a keyboard's battery is not its own
  ASSERT_THAT(facts.thermal_zones, SizeIs(1));
  EXPECT_DOUBLE_EQ(facts.thermal_zones[0].temperature, 52.35);
  EXPECT_EQ(band_of(*facts.wifi->frequency_mhz), "2.4 GHz");
  EXPECT_DOUBLE_EQ(*facts.wifi->rate_mbit, 72.2);
  EXPECT_EQ(facts.wifi->signal_dbm, -71);
  EXPECT_THAT(facts.hidden, IsEmpty());
}

TEST(Fixture, X86Laptop) {
  const DeviceFacts facts = read_device_facts(fixture("x86-laptop"));
  EXPECT_EQ(facts.model, "LENOVO ThinkPad X1 Carbon Gen 10");
  EXPECT_EQ(facts.memory.policy.usable, Bytes{8576607744});
  EXPECT_EQ(facts.processor.name, "12th Gen Intel(R) Core(TM) i7-1260P");
  EXPECT_EQ(facts.processor.architecture, "x86_64");
  EXPECT_THAT(facts.processor.features, ElementsAre("avx", "f16c", "fma", "avx2", "avx_vnni"));
  EXPECT_THAT(clusters_of(facts), ElementsAre("4 P-core 4700", "8 E-core 3400 little"));
  EXPECT_THAT(facts.cores.clusters[0].cpus, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(facts.cores.decode.count, 4);  // not 8: two threads share a core
  EXPECT_EQ(facts.battery->level, 80);
  EXPECT_EQ(facts.battery->charging, false);
  EXPECT_EQ(facts.battery->plugged, true);
  EXPECT_FALSE(facts.battery->temperature);
  EXPECT_THAT(facts.thermal_zones, SizeIs(4));
  EXPECT_TRUE(facts.wifi->connected);
  EXPECT_EQ(facts.wifi->signal_dbm, -50);
  EXPECT_FALSE(facts.wifi->rate_mbit);
  EXPECT_THAT(names_of(facts.hidden), ElementsAre("battery.temperature", "wifi.rate"));
  EXPECT_THAT(facts.hidden[1].cure, HasSubstr("iw"));
}

TEST(Fixture, ContainerWithCgroupV2) {
  const DeviceFacts facts = read_device_facts(fixture("container-cgroup-v2"));
  EXPECT_EQ(facts.memory.total, Bytes{65808316ULL * 1024});
  EXPECT_EQ(facts.memory.cgroup->version, 2);
  EXPECT_EQ(facts.memory.cgroup->limit, mebibytes(2048));
  EXPECT_EQ(facts.memory.policy.usable, mebibytes(1420));  // 2048 - (700 - 200) - 128
  EXPECT_THAT(facts.memory.policy.reason, HasSubstr("allows 2.00 GiB: 500 MiB are in use"));
  EXPECT_THAT(facts.processor.features,
              ElementsAre("avx", "f16c", "fma", "avx2", "avx512f", "avx512_vnni", "avx512_bf16"));
  EXPECT_THAT(facts.cores.allowed, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_DOUBLE_EQ(*facts.cores.cpu_quota, 3.5);
  EXPECT_EQ(facts.cores.decode.count, 3);
  EXPECT_FALSE(facts.wifi);
  EXPECT_THAT(names_of(facts.hidden), ElementsAre("model", "battery", "thermal_zones"));
}

TEST(Fixture, ContainerWithCgroupV1) {
  const DeviceFacts facts = read_device_facts(fixture("container-cgroup-v1"));
  EXPECT_EQ(facts.memory.cgroup->version, 1);
  EXPECT_EQ(facts.memory.policy.usable, mebibytes(760));  // 1024 - (300 - 100) - 64
  EXPECT_THAT(clusters_of(facts), ElementsAre("4 Neoverse-N1 0"));
  EXPECT_DOUBLE_EQ(*facts.cores.cpu_quota, 1.5);
  EXPECT_EQ(facts.cores.decode.count, 1);
  EXPECT_THAT(names_of(facts.hidden), ElementsAre("model", "processor.name", "battery", "thermal_zones"));
}

TEST(Fixture, WhereNearlyEverythingIsHidden) {
  const DeviceFacts facts = read_device_facts(fixture("hidden-android"));
  EXPECT_TRUE(facts.android);
  EXPECT_FALSE(facts.android->version);
  EXPECT_FALSE(facts.model);
  EXPECT_FALSE(facts.termux);
  EXPECT_FALSE(facts.memory.policy.usable);
  EXPECT_THAT(facts.processor.features, IsEmpty());
  EXPECT_THAT(facts.cores.allowed, SizeIs(8));
  EXPECT_EQ(facts.cores.decode.count, 8);
  EXPECT_FALSE(facts.battery);
  EXPECT_FALSE(facts.wifi);
  EXPECT_THAT(names_of(facts.hidden), ElementsAre("android", "memory", "processor.name", "processor.features",
                                                  "battery", "thermal_zones", "wifi"));
  for (const HiddenFact& one : facts.hidden) EXPECT_FALSE(one.why.empty()) << one.fact;
}

TEST(Facts, AreNotWaitedForTwice) {
  SystemView view = fixture("mediatek-helio-g85");
  std::vector<std::string> ran;
  view.run = [&, run = view.run](const std::vector<std::string>& arguments,
                                 std::chrono::milliseconds deadline) {
    ran.push_back(arguments.front());
    return run(arguments, deadline);
  };
  const DeviceFacts facts = read_device_facts(view);
  EXPECT_THAT(ran, ElementsAre("getprop", "termux-battery-status"));
  EXPECT_TRUE(is_hidden(facts.hidden, "wifi"));
}

TEST(Facts, OfAnEmptySystemAreAllHidden) {
  const auto folder = TemporaryFolder::make("caravan-test");
  SystemView view;
  view.root = folder->path();
  view.free_space = [](const fs::path&) -> Result<Bytes> {
    return Error{Code::unavailable, "no disk", "buy one"};
  };
  view.addresses = []() -> Result<std::vector<Address>> {
    return Error{Code::unavailable, "no network", ""};
  };
  const DeviceFacts facts = read_device_facts(view);
  EXPECT_EQ(facts.cores.decode.count, 1);
  for (const char* fact :
       {"model", "memory", "cores", "storage", "battery", "thermal_zones", "wifi", "addresses"}) {
    EXPECT_TRUE(is_hidden(facts.hidden, fact)) << fact;
  }
}

TEST(Facts, OfThisMachine) {
  SystemView view = this_system("/", nullptr);
  const DeviceFacts facts = read_device_facts(view);
  EXPECT_FALSE(facts.processor.architecture.empty());
  EXPECT_TRUE(facts.memory.policy.usable);
  EXPECT_GE(facts.cores.decode.count, 1);
  EXPECT_TRUE(facts.storage);
  for (const Address& one : facts.addresses) EXPECT_NE(one.address, "127.0.0.1");
}

TEST(Facts, AsJson) {
  const Json json = to_json(read_device_facts(fixture("x86-laptop")));
  EXPECT_EQ(json["memory"]["usable"], 8576607744);
  EXPECT_TRUE(json["memory"]["cgroup"].is_null());
  EXPECT_TRUE(json["android"].is_null());
  EXPECT_EQ(json["cores"]["decode_threads"], 4);
  EXPECT_EQ(json["cores"]["clusters"][1]["design"], "E-core");
  EXPECT_EQ(json["cores"]["clusters"][1]["little"], true);
  EXPECT_TRUE(json["battery"]["temperature"].is_null());
  EXPECT_EQ(json["wifi"]["signal_dbm"], -50);
  EXPECT_EQ(json["storage"]["free"], mebibytes(2048).count);
  EXPECT_EQ(json["thermal_zones"][2], Json({{"name", "x86_pkg_temp"}, {"temperature", 61.0}}));
  EXPECT_EQ(json["addresses"][0]["address"], "192.168.1.23");
  EXPECT_EQ(json["hidden"][1]["fact"], "wifi.rate");
  EXPECT_TRUE(json["hidden"][0]["cure"].is_null());
  EXPECT_EQ(dump_json(json).find('\n'), std::string::npos);

  const Json phone = to_json(read_device_facts(fixture("snapdragon-8-gen-2")));
  EXPECT_EQ(phone["android"], Json({{"version", "14"}, {"api_level", 34}}));
  EXPECT_EQ(phone["wifi"]["band"], "5 GHz");
  const Json container = to_json(read_device_facts(fixture("container-cgroup-v2")));
  EXPECT_EQ(container["memory"]["cgroup"]["limit"], mebibytes(2048).count);
  EXPECT_TRUE(container["battery"].is_null());
}

}  // namespace
}  // namespace caravan::device
