#include "trace/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trace/testing.h"

namespace caravan::trace {
namespace {

using testing::HasSubstr;

constexpr const char* kGolden =
    R"({"decode_rows":1,"length":9,"runs":[[0,0,7,2]],"stages":[{"clock":[[1,3,5]],"dropped":4,"name":"a","spans":[[3,5,6,8]]}],)"
    R"("steps":[[2,1]],"version":1,"waits":[[0,0,2,9]]})";

Json golden() { return *parse_json(kGolden, 4096); }

/// The way through a file.
Json written(const Json& json) { return *parse_json(dump_json(json), kMaxRecordingBytes); }

void expect_refused(const Json& json, std::string_view because) {
  const auto read = recording_from_json(written(json));
  ASSERT_FALSE(read) << because;
  EXPECT_EQ(read.error().code, Code::invalid);
  EXPECT_THAT(read.error().message, HasSubstr(std::string(because)));
}

TEST(Recording, IsWrittenAndReadAsItIs) {
  const auto read = recording_from_json(golden());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->stages[0].spans[0], (Span{Doing::send, 5, 6, 8}));
  EXPECT_EQ(read->waits[0], (Wait{0, 0, 2, 9}));
  EXPECT_EQ(dump_json(to_json(*read)), kGolden);
  const Recording large = tokens_of_two_stages(20);
  const auto again = recording_from_json(written(to_json(large)));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, large);
}

TEST(Recording, WhatCannotBeIsRefused) {
  auto json = golden();
  json["stages"][0]["spans"][0][0] = 5;
  expect_refused(json, "spans");
  json = golden();
  json["stages"][0]["spans"][0] = {0, 6, 5, 0};
  expect_refused(json, "spans");
  json = golden();
  json["stages"][0]["clock"][0] = {3, 1, 5};
  expect_refused(json, "clock");
  json = golden();
  json["runs"][0][0] = 1;
  expect_refused(json, "runs");
  json = golden();
  json["waits"][0][1] = 1;
  expect_refused(json, "waits");
  json = golden();
  json["steps"] = {{2, 1}, {1, 1}};
  expect_refused(json, "steps");
  json = golden();
  json["steps"][0] = {-1, 1};
  expect_refused(json, "steps");
  json = golden();
  json["steps"][0] = {1.5, 1};
  expect_refused(json, "steps");
  json = golden();
  json["steps"][0] = {2};
  expect_refused(json, "2 numbers");
  json = golden();
  json["steps"] = "none";
  expect_refused(json, "list");
}

TEST(Recording, IsBounded) {
  auto json = golden();
  json["stages"] = Json(std::vector<Json>(kMaxStages + 1, json["stages"][0]));
  expect_refused(json, "stages");
  json = golden();
  json["steps"] = Json(std::vector<Json>(kMaxSteps + 1, Json{2, 1}));
  expect_refused(json, "steps");
  // All stages together.
  json = golden();
  const Json half(std::vector<Json>(kMaxSpans / 2 + 1, Json{0, 1, 2, 3}));
  json["stages"].push_back(json["stages"][0]);
  json["stages"][0]["spans"] = half;
  EXPECT_TRUE(recording_from_json(json));
  json["stages"][1]["spans"] = half;
  expect_refused(json, "spans");
}

TEST(Recording, AnotherVersionSaysSo) {
  auto json = golden();
  json["version"] = 2;
  EXPECT_EQ(recording_from_json(written(json)).error().code, Code::incompatible);
}

TEST(Request, IsCheckedAndHasDefaults) {
  const Request request{"ab12", 5, 6, 2};
  EXPECT_EQ(*request_from_json(written(to_json(request))), request);
  EXPECT_EQ(*request_from_json(Json{{"id", "a"}}), (Request{"a", 32, 10, 1}));
  for (const Json& wrong : {Json{{"id", ""}}, Json{{"id", "../x"}}, Json{{"id", "a"}, {"tokens", 0}},
                            Json{{"id", "a"}, {"tokens", kMostTokens + 1}},
                            Json{{"id", "a"}, {"seconds", kMostSeconds + 1}}, Json{{"tokens", 3}}, Json(3)})
    EXPECT_EQ(request_from_json(written(wrong)).error().code, Code::invalid) << wrong;
}

TEST(Progress, IsWrittenAndRead) {
  const Progress progress{"ab", 3, true};
  EXPECT_EQ(*progress_from_json(written(to_json(progress))), progress);
  EXPECT_FALSE(progress_from_json(Json{{"id", "ab"}}));
}

}  // namespace
}  // namespace caravan::trace
