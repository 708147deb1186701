#include "trace/chrome.h"

#include <map>

#include <gtest/gtest.h>

#include "trace/testing.h"

namespace caravan::trace {
namespace {

TEST(Chrome, EachEventHasWhatViewersNeed) {
  const Timeline timeline = lay_out(tokens_of_two_stages(2));
  const auto json = parse_json(dump_json(chrome_trace(timeline, {"one", "two"})), 1U << 20U);
  ASSERT_TRUE(json);
  std::map<int, std::string> names;
  std::map<int, double> ends;
  std::size_t pieces = 0;
  for (const Json& event : (*json)["traceEvents"]) {
    const int process = event.at("pid").get<int>();
    EXPECT_TRUE(event.at("tid").is_number());
    EXPECT_TRUE(event.at("name").is_string());
    if (event.at("ph") == "M") {
      if (event.at("name") == "process_name") names[process] = event["args"]["name"].get<std::string>();
      continue;
    }
    EXPECT_EQ(event.at("ph"), "X");
    EXPECT_GE(event.at("ts").get<double>(), ends[process]) << "events of one lane do not overlap";
    EXPECT_GT(event.at("dur").get<double>(), 0);
    ends[process] = event["ts"].get<double>() + event["dur"].get<double>() - 1e-3;
    ++pieces;
  }
  EXPECT_EQ(names, (std::map<int, std::string>{{0, "master"}, {1, "one"}, {2, "two"}}));
  EXPECT_EQ(pieces, timeline.master.pieces.size() + timeline.stages[0].pieces.size() +
                        timeline.stages[1].pieces.size());
}

TEST(Chrome, TimesAreMicroseconds) {
  const Timeline timeline = lay_out(tokens_of_two_stages(1));
  const Json json = chrome_trace(timeline, {"one", "two"});
  bool found = false;
  for (const Json& event : json["traceEvents"]) {
    if (event["pid"] != 2 || event["name"] != "compute") continue;
    found = true;
    EXPECT_NEAR(event["dur"].get<double>(), 8000, 1);
    EXPECT_NEAR(event["ts"].get<double>(), 409'000, 100);
    EXPECT_EQ(event["args"]["step"], 0);
    EXPECT_EQ(event["args"]["phase"], "decode");
  }
  EXPECT_TRUE(found);
  EXPECT_NEAR(json["otherData"]["clocks"][0]["offset_us"].get<double>(), 5e6, 51);
}

}  // namespace
}  // namespace caravan::trace
