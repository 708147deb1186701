#include "cluster/condition.h"

#include <gtest/gtest.h>

namespace caravan::cluster {
namespace {

/// Golden bytes of version 1: what another build of Caravan sends. They never change.
constexpr const char* kGolden =
    R"({"addresses":[{"address":"192.168.1.5","prefix":24}],"battery_celsius":41.5,"battery_percent":73,)"
    R"("charging":true,"hotspot":true,"links":[{"device":"b","download":2500000.0,"upload":2000000.5}],)"
    R"("membership_digest":"00ff","membership_version":7,"processor_celsius":55.0,)"
    R"("rates":{"last":{"decode":9.5,"prefill":80.0},"minute":{"decode":9.0,"prefill":75.0},"requests":2},)"
    R"("version":1,"ways":[{"address":"192.168.1.7:7433","age":12,"from":"a","outcome":"timed_out","to":"c",)"
    R"("why":"no answer"}]})";
constexpr const char* kLeast =
    R"({"addresses":[],"links":[],"membership_digest":"","membership_version":0,"version":1,"ways":[]})";

/// The way over a socket.
Result<Condition> sent(const Json& json) {
  return condition_from_json(*parse_json(dump_json(json), 1U << 20U));
}

void expect_refused(const char* field, const Json& value) {
  Json json = Json::parse(kGolden);
  json[field] = value;
  const auto read = sent(json);
  ASSERT_FALSE(read.ok()) << field << " " << value;
  EXPECT_EQ(read.error().code, Code::invalid);
  EXPECT_NE(read.error().message.find(field), std::string::npos) << read.error().message;
}

TEST(Condition, PlacesOfOthersAreOptionalAndChecked) {
  Json json = Json::parse(kLeast);
  json["link_port"] = 7433U;
  json["places"] = {{{"device", "c"}, {"host", "10.0.0.7"}, {"port", 7433U}}};
  const auto read = condition_from_json(json);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->link_port, 7433);
  EXPECT_EQ(read->places, (std::vector<Place>{{"c", "10.0.0.7", 7433}}));
  EXPECT_EQ(to_json(*read), json);
  expect_refused("link_port", 65536);
  expect_refused("places", std::vector<Json>(257, json["places"][0]));
  for (const Json& bad : {Json(0), Json(65536), Json("7433")}) {
    json["places"][0]["port"] = bad;
    expect_refused("places", json["places"]);
  }
}

TEST(Condition, ADepartureFromThePlanIsOptionalAndChecked) {
  Json json = Json::parse(kLeast);
  json["speed"] = {{"measured", 10.0}, {"planned", 20.5}, {"state", "waits"}};
  const auto read = condition_from_json(json);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->speed, (SpeedNote{10, 20.5, SpeedNote::State::waits}));
  EXPECT_EQ(to_json(*read), json);
  for (const auto& [field, bad] : {std::pair("measured", Json(0)), std::pair("planned", Json("fast")),
                                   std::pair("state", Json("bored"))}) {
    Json wrong = json["speed"];
    wrong[field] = bad;
    expect_refused("speed", wrong);
  }
}

TEST(Condition, ADepartureFromThePlanInWords) {
  EXPECT_EQ(
      describe(SpeedNote{9.8, 20.1, SpeedNote::State::waits}),
      "answers take 2.1 times as long as planned (9.8 instead of 20.1 tokens/s): speed is measured again "
      "at a quiet moment, at most once an hour");
  EXPECT_EQ(
      describe(SpeedNote{30, 20, SpeedNote::State::measures}),
      "answers are 1.5 times as fast as planned (30.0 instead of 20.0 tokens/s): measures its speed again");
}

TEST(Condition, GoldenBytesGoThereAndBack) {
  for (const char* golden : {kGolden, kLeast}) {
    const auto read = condition_from_json(Json::parse(golden));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(dump_json(to_json(*read)), golden);
  }
}

TEST(Condition, EveryFieldIsRead) {
  const auto read = condition_from_json(Json::parse(kGolden));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->battery_percent, 73);
  EXPECT_EQ(read->charging, true);
  EXPECT_EQ(read->celsius(), 41.5);
  EXPECT_EQ(read->rates, (AnswerRates{{9.5, 80}, {9, 75}, 2}));
  EXPECT_EQ(read->links, (std::vector<MeasuredLink>{{"b", 2000000.5, 2500000}}));
  EXPECT_EQ(read->addresses, (std::vector<OwnAddress>{{"192.168.1.5", 24}}));
  EXPECT_TRUE(read->is_hotspot);
  EXPECT_EQ(read->membership_version, 7U);
  const Way way{"a", "c", "192.168.1.7:7433", link::DialOutcome::timed_out, "no answer", 12};
  EXPECT_EQ(read->ways, std::vector<Way>{way});
}

TEST(Condition, ADeviceWithoutBatteryTellsTheProcessorsHeat) {
  Condition condition;
  EXPECT_FALSE(condition.celsius());
  condition.processor_celsius = 55;
  EXPECT_EQ(condition.celsius(), 55);
  const auto again = sent(to_json(condition));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, condition);
}

TEST(Condition, HostileValuesAreRefused) {
  expect_refused("battery_celsius", 1e9);
  expect_refused("battery_celsius", "hot");
  expect_refused("processor_celsius", -100);
  expect_refused("battery_percent", 101);
  expect_refused("battery_percent", -1);
  expect_refused("charging", "yes");
  expect_refused("links", std::vector<Json>(65, Json{{"device", "d"}, {"upload", 1}, {"download", 1}}));
  expect_refused("addresses", std::vector<Json>(33, Json{{"address", "1.2.3.4"}, {"prefix", 8}}));
  expect_refused("ways", std::vector<Json>(129, Json::parse(kGolden)["ways"][0]));
  expect_refused("membership_digest", std::string(301, 'f'));
  expect_refused("membership_version", -1);
  EXPECT_FALSE(condition_from_json(Json::array()).ok());
  EXPECT_FALSE(condition_from_json(Json()).ok());
}

TEST(Condition, HostilePartsAreRefused) {
  const auto with = [](const char* pointer, const Json& value) {
    Json json = Json::parse(kGolden);
    json[Json::json_pointer(pointer)] = value;
    return sent(json).ok();
  };
  EXPECT_TRUE(with("/rates/last/decode", 3));
  for (const char* pointer : {"/rates/last/decode", "/rates/minute/prefill", "/links/0/upload"}) {
    EXPECT_FALSE(with(pointer, -1)) << pointer;
    EXPECT_FALSE(with(pointer, 1e300)) << pointer;
  }
  EXPECT_FALSE(with("/rates/requests", -1));
  EXPECT_FALSE(with("/addresses/0/prefix", 129));
  EXPECT_FALSE(with("/ways/0/outcome", "exploded"));
  EXPECT_FALSE(with("/ways/0/why", std::string(301, 'x')));
  EXPECT_FALSE(with("/ways/0/age", -5));
}

TEST(Condition, HandlingIsOptionalAndChecked) {
  Json json = Json::parse(kLeast);
  json["handling"] = 0.0012;
  const auto read = sent(json);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->handling, 0.0012);
  EXPECT_EQ(to_json(*read), json);
  for (const Json& wrong : {Json(-0.001), Json(0.2), Json("1")}) expect_refused("handling", wrong);
}

TEST(Condition, ANewerVersionSaysSo) {
  Json json = Json::parse(kLeast);
  json["version"] = 2;
  EXPECT_EQ(sent(json).error().code, Code::incompatible);
}

}  // namespace
}  // namespace caravan::cluster
