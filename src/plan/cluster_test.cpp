#include "plan/cluster.h"

#include <gmock/gmock.h>

#include "plan/profile.h"

namespace caravan::plan {
namespace {

using testing::HasSubstr;

Result<Cluster> read(const std::string& text) {
  const auto value = parse_json(text, 1U << 20U);
  EXPECT_TRUE(value.ok());
  return cluster_from_json(*value);
}

TEST(DevicesFile, KindsAndProfilesAreEnough) {
  const auto cluster = read(R"({"devices": [{"name": "a", "kind": "flagship", "memory": "5G", "unknown": 1},
                                            {"name": "b", "kind": "budget", "memory": 2147483648, "accepts": false}],
                                "link": {"profile": "wifi24"},
                                "links": [{"from": "b", "to": "a", "round_trip_ms": 9, "mbit": 80}]})");
  ASSERT_TRUE(cluster.ok()) << cluster.error().message;
  ASSERT_EQ(cluster->devices.size(), 2U);
  EXPECT_EQ(cluster->devices[0].memory, mebibytes(5120));
  EXPECT_FALSE(cluster->devices[0].is_measured);
  EXPECT_GT(speed_for(cluster->devices[0], "q6_k").decode, speed_for(cluster->devices[1], "q6_k").decode);
  EXPECT_DOUBLE_EQ(cluster->usual.round_trip, 0.008);
  const auto link = cluster->link(cluster->devices[0], cluster->devices[1]);
  ASSERT_TRUE(link);
  EXPECT_DOUBLE_EQ(link->round_trip, 0.009);
  EXPECT_DOUBLE_EQ(link->bandwidth, 10e6);
}

TEST(DevicesFile, WhatIsWrittenIsReadAgain) {
  const auto one =
      read(R"({"devices": [{"name": "a", "memory": "1G", "threads": 2, "node_seconds": 2e-6, "attention": 3e9,
                             "store": 3e9, "kernels": {"q4_k": {"decode": 5e9, "prefill": 1e10, "store_repacked": 2e9}}},
                            {"name": "b", "kind": "laptop", "memory": "8G"}],
                             "links": [{"from": "a", "to": "b", "reachable": false}]})");
  ASSERT_TRUE(one.ok()) << one.error().message;
  const auto two = read(dump_json(to_json(*one)));
  ASSERT_TRUE(two.ok()) << two.error().message;
  EXPECT_EQ(to_json(*one), to_json(*two));
  EXPECT_EQ(two->devices[0].kernels.at("q4_k").decode_repacked, 5e9)
      << "as the plain layout, when nothing else is said";
  EXPECT_EQ(two->devices[0].store, 3e9);
  EXPECT_EQ(two->devices[0].kernels.at("q4_k").store_repacked, 2e9);
  EXPECT_FALSE(two->link(two->devices[0], two->devices[1]));
}

TEST(DevicesFile, TakesWhatCalibrationHasKept) {
  device::Speed speed;
  speed.threads = {1, 2};
  speed.measurements = {{.quantity = Quantity::decode,
                         .type = "q4_K",
                         .layout = "plain",
                         .threads = 2,
                         .columns = 1,
                         .rate = 5e9,
                         .touched = {}},
                        {.quantity = Quantity::prefill,
                         .type = "q4_K",
                         .layout = "plain",
                         .threads = 2,
                         .columns = 64,
                         .rate = 1e10,
                         .touched = {}}};
  const Json file{{"devices", Json::array({{{"name", "a"}, {"memory", "1G"}, {"speed", to_json(speed)}}})}};
  const auto cluster = read(dump_json(file));
  ASSERT_TRUE(cluster.ok()) << cluster.error().message;
  EXPECT_EQ(cluster->devices[0].threads, 2) << "the most that were measured";
  EXPECT_EQ(cluster->devices[0].kernels.at("q4_k").decode, 5e9);
  EXPECT_TRUE(cluster->devices[0].is_measured);
}

TEST(DevicesFile, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([])", "JSON object"},
      {R"({})", "devices"},
      {R"({"version": 2, "devices": []})", "version 2"},
      {R"({"devices": [{"name": "a", "kind": "toaster", "memory": "1G"}]})", "toaster"},
      {R"({"devices": [{"name": "a", "kind": "budget"}]})", "memory"},
      {R"({"devices": [{"name": "a", "kind": "budget", "memory": "lots"}]})", "memory"},
      {R"({"devices": [{"name": "a", "memory": "1G"}]})", "kind"},
      {R"({"devices": [{"name": "a", "memory": "1G", "kernels": {"q99": {"decode": 1, "prefill": 1}}}]})",
       "q99"},
      {R"({"devices": [{"name": "a", "memory": "1G", "kernels": {"q4_k": 3}}]})", "q4_k"},
      {R"({"devices": [{"name": "a", "memory": "1G", "kernels": {"q4_k": {"decode": -1}}}]})", "decode"},
      {R"({"devices": [{"name": "a", "kind": "budget", "memory": "1G"}, {"name": "a", "kind": "budget", "memory": "1G"}]})",
       "two called 'a'"},
      {R"({"devices": [{"name": "a", "kind": "budget", "memory": "1G"}], "link": {"profile": "string"}})",
       "profile"},
      {R"({"devices": [{"name": "a", "kind": "budget", "memory": "1G"}], "link": {"mbit": 0}})", "mbit"},
      {R"({"devices": [{"name": "a", "kind": "budget", "memory": "1G"}], "links": [{"from": "a", "to": "z"}]})",
       "'z'"},
  };
  for (const auto& [text, named] : cases) {
    const auto cluster = read(text);
    ASSERT_FALSE(cluster.ok()) << text;
    EXPECT_THAT(cluster.error().message, HasSubstr(named)) << text;
  }
}

Measurement measured(Quantity quantity, const char* type, const char* layout, int columns, double rate) {
  return {.quantity = quantity,
          .type = type,
          .layout = layout,
          .threads = 2,
          .columns = columns,
          .rate = rate,
          .touched = {}};
}

TEST(Profile, IsWhatWasMeasuredAtThatThreadCount) {
  device::Speed speed;
  speed.measurements = {measured(Quantity::decode, "q4_K", "plain", 1, 5e9),
                        measured(Quantity::decode, "q4_K", "CPU_REPACK", 1, 7e9),
                        measured(Quantity::prefill, "q4_K", "plain", 64, 1e10),
                        measured(Quantity::prefill, "q4_K", "plain", 512, 2e10),
                        measured(Quantity::prefill, "q4_K", "CPU_REPACK", 512, 4e10),
                        measured(Quantity::decode, "f16", "plain", 1, 8e9),
                        measured(Quantity::prefill, "f16", "plain", 512, 3e10),
                        measured(Quantity::decode, "q8_0", "plain", 1, 8e9),
                        measured(Quantity::attention, "", "", 1, 1e9),
                        measured(Quantity::attention, "", "", 512, 6e9),
                        measured(Quantity::small_op, "", "", 1, 5e5),
                        measured(Quantity::elements, "", "", 512, 4e8)};
  const auto profile = profile_from("phone", mebibytes(1000), speed, 2);
  ASSERT_TRUE(profile.ok()) << profile.error().message;
  EXPECT_EQ(profile->kernels.at("q4_k").decode_repacked, 7e9);
  EXPECT_EQ(profile->kernels.at("q4_k").prefill, 2e10) << "the largest batch";
  EXPECT_EQ(profile->kernels.at("f16").prefill_repacked, 3e10) << "no other layout";
  EXPECT_FALSE(profile->kernels.contains("q8_0")) << "half measured is not measured";
  EXPECT_DOUBLE_EQ(profile->node_seconds, 2e-6);
  EXPECT_EQ(profile->attention, 1e9);
  EXPECT_EQ(profile->attention_prefill, 6e9);
  EXPECT_EQ(profile->elements, 4e8);
  EXPECT_EQ(profile_from("phone", {}, speed, 4).error().code, Code::not_found);
}

TEST(Profile, AQuotaSlowsDownOneThreadOnly) {
  device::Speed speed;
  for (const int threads : {1, 2}) {
    for (Measurement each : {measured(Quantity::decode, "q4_K", "plain", 1, 5e9),
                             measured(Quantity::prefill, "q4_K", "plain", 512, 2e10),
                             measured(Quantity::small_op, "", "", 1, 5e5)}) {
      each.threads = threads;
      speed.measurements.push_back(each);
    }
  }
  speed.cpu_quota = 0.5;
  const auto one = profile_from("phone", {}, speed, 1);
  const auto two = profile_from("phone", {}, speed, 2);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_DOUBLE_EQ(one->kernels.at("q4_k").decode, 2.5e9);
  EXPECT_DOUBLE_EQ(one->kernels.at("q4_k").prefill_repacked, 1e10);
  EXPECT_DOUBLE_EQ(one->node_seconds, 4e-6);
  EXPECT_DOUBLE_EQ(two->kernels.at("q4_k").decode, 5e9) << "timed by the clock: the quota is in it already";
  speed.cpu_quota = 3;
  EXPECT_DOUBLE_EQ(profile_from("phone", {}, speed, 1)->kernels.at("q4_k").decode, 5e9);
}

TEST(Profile, OneThreadLoadsHoweverManyCompute) {
  device::Speed speed;
  speed.measurements = {measured(Quantity::decode, "q4_K", "plain", 1, 5e9),
                        measured(Quantity::prefill, "q4_K", "plain", 512, 2e10),
                        measured(Quantity::store, "q4_K", "plain", 1, 6e9),
                        measured(Quantity::store, "q6_K", "plain", 1, 2e9),
                        measured(Quantity::store, "q4_K", "CPU_REPACK", 1, 1e9)};
  for (Measurement& each : speed.measurements) {
    if (each.quantity == Quantity::store) each.threads = 1;
  }
  const auto two = profile_from("phone", {}, speed, 2);
  ASSERT_TRUE(two.ok()) << two.error().message;
  EXPECT_DOUBLE_EQ(two->store, 3e9) << "what copying as much of each takes";
  EXPECT_DOUBLE_EQ(two->kernels.at("q4_k").store_repacked, 1e9);
  EXPECT_FALSE(two->kernels.contains("q6_k")) << "nothing says how fast it multiplies";
  speed.cpu_quota = 0.5;
  const auto half = profile_from("phone", {}, speed, 2);
  EXPECT_DOUBLE_EQ(half->store, 1.5e9) << "timed by the processor's time";
  EXPECT_DOUBLE_EQ(half->kernels.at("q4_k").store_repacked, 0.5e9);
  EXPECT_DOUBLE_EQ(half->kernels.at("q4_k").decode, 5e9);
}

TEST(Profile, ATypeThatWasNotMeasuredIsNotTakenForRepacked) {
  DeviceProfile device;
  device.kernels["q4_k"] = {5e9, 7e9, 2e10, 4e10};
  device.kernels["q8_0"] = {8e9, 8e9, 3e10, 3e10};
  const KernelSpeed near = speed_for(device, "q5_0");
  EXPECT_EQ(near.decode, 5e9);
  EXPECT_EQ(near.decode_repacked, 5e9);
  EXPECT_EQ(near.prefill_repacked, 2e10);
  EXPECT_EQ(speed_for(device, "q4_k").prefill_repacked, 4e10);
}

TEST(Cluster, WhatATraceHasShownCountsForEveryWay) {
  Json file = parse_json(R"({"devices": [{"name": "a", "kind": "budget", "memory": "2G"},
      {"name": "b", "kind": "budget", "memory": "2G"}, {"name": "c", "kind": "budget", "memory": "2G"}],
      "links": [{"from": "a", "to": "b", "round_trip_ms": 2, "mbit": 100}, {"from": "a", "to": "c", "reachable": false}]})",
                         4096)
                  .value();
  const auto handling = [](const Result<Cluster>& cluster, std::size_t from, std::size_t to) {
    const auto link = cluster->link(cluster->devices[from], cluster->devices[to]);
    return link ? link->handling : -1;
  };
  const auto guessed = cluster_from_json(file);
  ASSERT_TRUE(guessed.ok()) << guessed.error().message;
  EXPECT_EQ(handling(guessed, 0, 1), kUsualHandling);
  file["handling_ms"] = 1.5;
  const auto read = cluster_from_json(file);
  ASSERT_TRUE(read.ok()) << read.error().message;
  const auto again = cluster_from_json(parse_json(dump_json(to_json(*read)), 4096).value());
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_DOUBLE_EQ(handling(again, 0, 1), 0.0015);
  EXPECT_DOUBLE_EQ(handling(again, 1, 2), 0.0015) << "also of the usual link";
  EXPECT_EQ(handling(again, 0, 2), -1);
  for (const Json& wrong : {Json(-1), Json(101), Json("2")}) {
    file["handling_ms"] = wrong;
    EXPECT_FALSE(cluster_from_json(file).ok()) << wrong;
  }
}

TEST(Cluster, OtherNumbersOfThreadsComeThroughJson) {
  const Json file = parse_json(R"({"devices": [{"name": "a", "memory": "2G", "threads": 4,
      "kernels": {"q4_0": {"decode": 5e9, "prefill": 2e10}},
      "other_threads": [{"threads": 2, "kernels": {"q4_0": {"decode": 6e9, "prefill": 1e10}}}]}]})",
                               4096)
                        .value();
  const auto read = cluster_from_json(file);
  ASSERT_TRUE(read.ok()) << read.error().message;
  const auto again = cluster_from_json(parse_json(dump_json(to_json(*read)), 4096).value());
  ASSERT_TRUE(again.ok()) << again.error().message;
  ASSERT_EQ(again->devices[0].with_other_threads.size(), 1U);
  EXPECT_EQ(again->devices[0].threads, 4);
  EXPECT_EQ(again->devices[0].with_other_threads[0].threads, 2);
  EXPECT_EQ(again->devices[0].with_other_threads[0].kernels.at("q4_0").decode, 6e9);
  Json wrong = file;
  wrong["devices"][0]["other_threads"][0].erase("kernels");
  EXPECT_FALSE(cluster_from_json(wrong).ok());
}

}  // namespace
}  // namespace caravan::plan
