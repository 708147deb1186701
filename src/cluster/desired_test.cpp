#include "cluster/desired.h"

#include <fstream>
#include <limits>

#include <gtest/gtest.h>

namespace caravan::cluster {
namespace {

/// Golden bytes of version 1: what another build of Caravan sends and keeps. They never change.
constexpr const char* kDesiredV1 =
    R"({"controller":"7KD2","epoch":67160809,"since":51700,"version":1,"wishes":[{"avoid":["b"],"context":4096,)"
    R"("file":"m.gguf","for":"throughput","keep_free":5,"model":"m","parallel":2,"size":7,"use":["a"]},)"
    R"({"avoid":[],"file":"n.gguf","for":"latency","keep_free":0,"model":"n","size":8,"use":[]}]})";

/// The way over a socket.
Result<Desired> sent(const Json& json) {
  return desired_from_json(*parse_json(dump_json(json), kMaxDesiredBytes));
}

Result<Desired> with(const char* field, const Json& value) {
  Json json = Json::parse(kDesiredV1);
  json[field] = value;
  return sent(json);
}

Result<Desired> with_wish(const char* field, const Json& value) {
  Json json = Json::parse(kDesiredV1);
  json["wishes"][0][field] = value;
  return sent(json);
}

void expect_refused(const Result<Desired>& read, const std::string& field) {
  ASSERT_FALSE(read.ok()) << field;
  EXPECT_EQ(read.error().code, Code::invalid);
  EXPECT_NE(read.error().message.find("'" + field + "'"), std::string::npos) << read.error().message;
}

TEST(Desired, GoldenBytesGoThereAndBack) {
  const auto read = desired_from_json(Json::parse(kDesiredV1));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(dump_json(to_json(*read)), kDesiredV1);
  ASSERT_EQ(read->wishes.size(), 2U);
  EXPECT_EQ(read->wishes[0].objective, plan::Objective::throughput);
  EXPECT_EQ(read->wishes[0].context, 4096);
  EXPECT_EQ(read->find("n"), &read->wishes[1]);
  EXPECT_EQ(read->find("other"), nullptr);
  const auto nothing = sent(to_json(Desired{}));
  ASSERT_TRUE(nothing.ok()) << nothing.error().message;
  EXPECT_EQ(*nothing, Desired{});
}

TEST(Desired, WhoHasNotChosenADataPathGetsTheFabric) {
  EXPECT_EQ(desired_from_json(Json::parse(kDesiredV1))->wishes[0].data_path, DataPath::fabric);
  for (const DataPath path : {DataPath::rpc, DataPath::fabric}) {
    const auto read = with_wish("data_path", name_of(path));
    ASSERT_TRUE(read.ok()) << read.error().message;
    const auto again = sent(to_json(*read));
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(again->wishes[0].data_path, path);
  }
  expect_refused(with_wish("data_path", "pigeon"), "data_path");
}

TEST(Desired, PlainWorkersGoThereAndBack) {
  const Json plain = Json::parse(R"([{"host":"192.168.1.5","memory":1000,"port":50052,"round_trip":0.004},)"
                                 R"({"host":"fe80::1","memory":7,"port":1,"round_trip":0.0}])");
  const auto read = with_wish("plain", plain);
  ASSERT_TRUE(read.ok()) << read.error().message;
  ASSERT_EQ(read->wishes[0].plain.size(), 2U);
  EXPECT_EQ(name_of(read->wishes[0].plain[0]), "192.168.1.5:50052");
  EXPECT_EQ(name_of(read->wishes[0].plain[1]), "[fe80::1]:1");
  EXPECT_EQ(to_json(read->wishes[0].plain), plain);
  EXPECT_EQ(find_plain(read->wishes[0].plain, "[fe80::1]:1"), &read->wishes[0].plain[1]);
  EXPECT_EQ(find_plain(read->wishes[0].plain, "fe80::1"), nullptr);
}

TEST(Desired, PlainWorkersThatCannotBeAreRefused) {
  const Json good = Json::parse(R"({"host":"10.0.0.1","memory":1000,"port":50052,"round_trip":0.004})");
  const auto with_plain = [&](const char* field, const Json& value) {
    Json entry = good;
    entry[field] = value;
    return with_wish("plain", Json::array({entry}));
  };
  expect_refused(with_plain("host", "nas.local; rm -rf"), "host");
  expect_refused(with_plain("host", std::string(4000, '1')), "host");
  expect_refused(with_plain("port", 0), "port");
  expect_refused(with_plain("port", 65536), "port");
  expect_refused(with_plain("memory", -1), "memory");
  expect_refused(with_plain("round_trip", -0.1), "round_trip");
  expect_refused(with_plain("round_trip", 1e300), "round_trip");
  expect_refused(with_wish("plain", Json::array({good, good})), "host");
  expect_refused(with_wish("plain", std::vector<Json>(17, good)), "plain");
  expect_refused(with_wish("plain", "10.0.0.1"), "plain");
}

TEST(Desired, WhatIsLeftOutHasDefaults) {
  const auto read =
      desired_from_json(Json::parse(R"({"version":1,"epoch":1,"since":1,"controller":"a","unknown":[],)"
                                    R"("wishes":[{"model":"m","file":"f","size":1}]})"));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->wishes.at(0).objective, plan::Objective::latency);
  EXPECT_FALSE(read->wishes.at(0).context || read->wishes.at(0).parallel);
}

TEST(Desired, TheWireFormatGoesThereAndBack) {
  const auto packed = with_wish("wire", "f16");
  ASSERT_TRUE(packed.ok()) << packed.error().message;
  EXPECT_EQ(packed->wishes[0].wire, engine::WireFormat::f16);
  EXPECT_EQ(to_json(packed->wishes[0])["wire"], "f16");
  EXPECT_EQ(desired_from_json(Json::parse(kDesiredV1))->wishes[0].wire, engine::WireFormat::f32);
}

TEST(Desired, WhetherTokensAreGuessedGoesThereAndBack) {
  const auto none = with_wish("speculation", "none");
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_EQ(none->wishes[0].speculation, plan::SpeculationWish::none);
  EXPECT_EQ(to_json(none->wishes[0])["speculation"], "none");
  EXPECT_EQ(desired_from_json(Json::parse(kDesiredV1))->wishes[0].speculation,
            plan::SpeculationWish::automatic);
}

TEST(Desired, HostileValuesAreNamed) {
  for (const Json& value : {Json(-1), Json("1"), Json(1.5), Json(1e300), Json(std::uint64_t{1} << 53U)})
    expect_refused(with("epoch", value), "epoch");
  expect_refused(with("controller", ""), "controller");
  expect_refused(with("controller", 7), "controller");
  expect_refused(with("controller", "a\x1b[2J"), "controller");
  expect_refused(with("controller", std::string(1000, 'a')), "controller");
  for (const Json& value : {Json(67160810), Json(0), Json(-1), Json("1")})
    expect_refused(with("since", value), "since");
  for (const Json& value : {Json(7), Json::object(), Json()}) expect_refused(with("wishes", value), "wishes");
  EXPECT_FALSE(with("wishes", Json::array({7})).ok());
  expect_refused(with_wish("model", ""), "model");
  for (const char* file : {"", ".", "..", "/etc/passwd", "../m.gguf", "a/b", "m\n"})
    expect_refused(with_wish("file", file), "file");
  expect_refused(with_wish("file", std::string(1000, 'a')), "file");
  expect_refused(with_wish("size", -5), "size");
  expect_refused(with_wish("for", "world domination"), "for");
  expect_refused(with_wish("wire", "carrier pigeon"), "wire");
  expect_refused(with_wish("speculation", "wild"), "speculation");
  expect_refused(with_wish("context", std::uint64_t{1} << 40U), "context");
  expect_refused(with_wish("use", "a"), "use");
  expect_refused(with_wish("use", Json::array({1})), "use");
  expect_refused(with_wish("avoid", std::vector<std::string>(65, "a")), "avoid");
  EXPECT_FALSE(desired_from_json(Json::array()).ok());
  EXPECT_FALSE(desired_from_json(Json()).ok());
}

TEST(Desired, EachModelIsThereOnceAndThereAreAtMostEight) {
  Json wish = Json::parse(kDesiredV1)["wishes"][0];
  expect_refused(with("wishes", Json::array({wish, wish})), "wishes");
  Json wishes = Json::array();
  for (std::size_t i = 0; i < kMostWishes; ++i) {
    wish["model"] = "m" + std::to_string(i);
    wishes.push_back(wish);
  }
  EXPECT_TRUE(with("wishes", wishes).ok()) << "of one file, too";
  wish["model"] = "one more";
  wishes.push_back(wish);
  expect_refused(with("wishes", wishes), "wishes");
}

TEST(Desired, ARecordWithoutControllerOrWithAWishBeforeTheFirstEpochIsRefused) {
  expect_refused(with("epoch", 0), "since");
  Json json = Json::parse(kDesiredV1);
  json["epoch"] = 0;
  json["since"] = 0;
  json["controller"] = "";
  expect_refused(sent(json), "wishes");
}

TEST(Desired, ANewerVersionSaysSo) {
  const auto read = with("version", 2);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, Code::incompatible);
}

TEST(Desired, TheHigherEpochIsNewerThenTheHigherId) {
  EXPECT_TRUE(is_newer({2, 1, "a", {}}, {1, 1, "b", {}}));
  EXPECT_TRUE(is_newer({1, 1, "b", {}}, {1, 1, "a", {}}));
  EXPECT_FALSE(is_newer({1, 1, "a", {}}, {1, 1, "a", {Wish{}}}));
  EXPECT_TRUE(is_newer({1, 1, "a", {}}, Desired{}));
}

TEST(Desired, EpochsGrowAndDifferBetweenDevicesAndAWishOutranksSuccessions) {
  const std::uint64_t first = next_epoch(0, "a", Claim::wish);
  EXPECT_NE(first, next_epoch(0, "b", Claim::wish));
  EXPECT_NE(next_epoch(first, "a", Claim::succession), next_epoch(first, "b", Claim::succession));
  EXPECT_EQ(next_epoch(first, "b", Claim::wish), next_epoch(first, "b", Claim::wish));
  const std::uint64_t asked = next_epoch(first, "b", Claim::wish);
  std::uint64_t passed_on = first;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t next = next_epoch(passed_on, "device-" + std::to_string(i), Claim::succession);
    ASSERT_GT(next, passed_on);
    passed_on = next;
  }
  EXPECT_GT(asked, passed_on) << "a thousand successions elsewhere do not undo what a person said";
  std::uint64_t epoch = 0;
  for (int i = 0; i < 100000; ++i) epoch = next_epoch(epoch, "a", Claim::wish);
  EXPECT_TRUE(with("epoch", epoch).ok()) << "a hundred thousand wishes are no problem";
}

TEST(Desired, IsFoundAgainOnTheDisk) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const fs::path file = folder->path() / "desired.json";
  EXPECT_EQ(*load_desired(file), Desired{});
  const auto desired = desired_from_json(Json::parse(kDesiredV1));
  ASSERT_TRUE(save_desired(file, *desired).ok());
  EXPECT_EQ(*load_desired(file), *desired);
}

TEST(Desired, TheLongestThatIsAcceptedCanBeKept) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const std::string longest(240, '"');  // two bytes each in JSON
  Json json = Json::parse(kDesiredV1);
  json["controller"] = longest;
  json["wishes"] = Json::array();
  for (std::size_t i = 0; i < kMostWishes; ++i) {
    Json wish{{"model", longest.substr(i)}, {"file", longest}, {"size", 1}};
    for (const char* field : {"use", "avoid"}) wish[field] = std::vector<std::string>(64, longest);
    json["wishes"].push_back(std::move(wish));
  }
  const auto desired = sent(json);
  ASSERT_TRUE(desired.ok()) << desired.error().message;
  ASSERT_TRUE(save_desired(folder->path() / "d", *desired).ok());
  const auto found = load_desired(folder->path() / "d");
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(*found, *desired);
}

TEST(Desired, ADamagedFileIsNamed) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const fs::path file = folder->path() / "desired.json";
  for (const std::string& content :
       {std::string(), std::string("{"), std::string("[]"), std::string(kMaxDesiredBytes + 1, ' ')}) {
    std::ofstream(file) << content;
    const auto found = load_desired(file);
    ASSERT_FALSE(found.ok());
    EXPECT_NE(found.error().message.find(file.string()), std::string::npos) << found.error().message;
  }
}

TEST(Desired, ObjectivesHaveNames) {
  for (const auto objective : {plan::Objective::latency, plan::Objective::throughput, plan::Objective::fit})
    EXPECT_EQ(objective_from(name_of(objective)), objective);
  EXPECT_FALSE(objective_from("speed"));
}

}  // namespace
}  // namespace caravan::cluster
