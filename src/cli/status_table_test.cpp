#include "cli/status_table.h"

#include <gmock/gmock.h>

#include "cli/text_table.h"

namespace caravan::cli {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

Json two_devices() {
  return Json::parse(R"({
    "cluster": {"name": "home", "member": true},
    "devices": [
      {"id": "aaaa", "short_id": "aaaa-bbbb", "name": "phone-1", "owner": true, "self": true, "linked": true,
       "role": "master", "phase": "ready", "model": "m", "memory": 629145600, "api": "http://127.0.0.1:8080", "engine_build": "b"},
      {"id": "cccc", "short_id": "cccc-dddd", "name": "tablet", "owner": false, "self": false, "linked": true,
       "round_trip_ms": 4.72, "role": "worker", "phase": "ready", "engine_build": "b"},
      {"id": "eeee", "short_id": "eeee-ffff", "name": "old\u001b[31m", "linked": false, "last_heard_ms": 9000}],
    "deployments": [{"stage": "serving", "model": "m", "replicas": [{"predicted": {"decode": 12.5}, "shares": [
      {"device": "aaaa", "name": "phone-1", "first_layer": 0, "layers": 12},
      {"device": "cccc", "name": "tablet", "first_layer": 12, "layers": 4}]}]}],
    "problems": [{"message": "no beacons", "hint": "use --peer"}]})");
}

TEST(StatusTable, TellsWhoDoesWhat) {
  const auto lines = status_lines(two_devices());
  EXPECT_THAT(lines.front(), HasSubstr("cluster 'home', 3 devices"));
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("phone-1 *"), HasSubstr("this device"), HasSubstr("0-11"))));
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("tablet"), HasSubstr("4.7 ms"), HasSubstr("worker"),
                                    HasSubstr("12-15"))));
  EXPECT_THAT(lines, Contains(HasSubstr("away, seen 9.0 s ago")));
  EXPECT_THAT(lines, Contains("serves m"));
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("expected"), HasSubstr("tok/s"))));
  EXPECT_THAT(lines, Contains("problem: no beacons"));
  for (const std::string& line : lines) EXPECT_THAT(line, Not(HasSubstr("\x1b")));
}

TEST(StatusTable, SaysWhenAnswersAreNotAsPlanned) {
  Json view = two_devices();
  view["devices"][0]["speed"] = {{"text", "answers take 2.1 times as long as planned\u001b"}};
  const auto lines = status_lines(view);
  EXPECT_THAT(lines, Contains(HasSubstr("  phone-1: answers take 2.1 times as long as planned")));
  for (const std::string& line : lines) EXPECT_THAT(line, Not(HasSubstr("\x1b")));
}

TEST(StatusTable, SaysWhoShouldCarryLittleAndDoesNot) {
  Json view = two_devices();
  view["devices"][1]["band"] = {{"name", "hot"}, {"why", "its battery has 43.0 °C"}};
  view["deployments"][0]["replicas"][0]["shares"][1]["spared"] = "its battery has 43.0 °C, but";
  const auto lines = status_lines(view);
  EXPECT_THAT(lines, Contains("  tablet should carry little: its battery has 43.0 °C"));
  EXPECT_THAT(lines, Contains("  warning: tablet carries layers 12-15: its battery has 43.0 °C, but"));
}

TEST(StatusTable, ShowsHeatBatteryAndRatesOfThoseThatTell) {
  Json view = two_devices();
  Json& master = view["devices"][0];
  master["celsius"] = 41.3;
  master["percent"] = 73;
  master["charging"] = true;
  master["rates"] = {{"last", {{"decode", 9.1}, {"prefill", 80}}},
                     {"minute", {{"decode", 8.7}, {"prefill", 0}}}};
  Json& worker = view["devices"][1];
  worker["celsius"] = 36;
  worker["percent"] = 20;
  worker["charging"] = false;
  worker["traffic"] = {{"in", 1.25e6}, {"out", 0.25e6}};
  worker["bandwidth"] = 22.4e6;
  const auto lines = status_lines(view, 200);
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("phone-1 *"), HasSubstr("41 °C"), HasSubstr("73 % ⚡"),
                                    HasSubstr("9.1 tok/s"))));
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("tablet"), HasSubstr("36 °C"), HasSubstr("20 % "),
                                    HasSubstr("1.5 MB/s"), HasSubstr("22.4 MB/s"), Not(HasSubstr("⚡")))));
  EXPECT_THAT(lines,
              Contains("  measured: 9.1 tok/s in the last answer, 8.7 in the last minute; prompts 80 tok/s"));
  EXPECT_THAT(lines, Contains("  API on this device: http://127.0.0.1:8080"));
}

TEST(StatusTable, StaysWithin80Columns) {
  Json view = two_devices();
  view["devices"][2]["name"] = "old-phone";
  for (Json& device : view["devices"]) {
    device["celsius"] = 41;
    device["percent"] = 100;
    device["charging"] = true;
    device["bandwidth"] = 22e6;
    device["api"] = "http://127.0.0.1:8080";
    device["memory"] = 629145600;
    device["rates"] = {{"last", {{"decode", 9.1}}}};
  }
  for (const std::string& line : status_lines(view)) EXPECT_LE(places(line), 80U) << line;
  EXPECT_THAT(status_lines(view),
              Contains(AllOf(HasSubstr("phone-1"), HasSubstr("41 °C"), HasSubstr("100 % ⚡"))));
}

TEST(StatusTable, ColumnsThatNobodyHasAreLeftOut) {
  for (const std::string& line : status_lines(two_devices())) {
    EXPECT_THAT(line, Not(HasSubstr("heat")));
    EXPECT_THAT(line, Not(HasSubstr("battery")));
    EXPECT_THAT(line, Not(HasSubstr("rate")));
  }
}

TEST(StatusTable, APlainWorkerIsMarkedInsecure) {
  Json view = two_devices();
  view["deployments"][0]["replicas"][0]["shares"].push_back(
      {{"device", "10.0.0.9:50052"}, {"plain", true}, {"first_layer", 16}, {"layers", 3}});
  EXPECT_THAT(status_lines(view),
              Contains(AllOf(HasSubstr("plain worker 10.0.0.9:50052: layers 16-18"), HasSubstr("insecure"))));
}

TEST(StatusTable, AFailureIsToldWithItsCure) {
  const Json failed{
      {"stage", "failed"}, {"model", "m"}, {"error", {{"message", "too large"}, {"hint", "add a phone"}}}};
  EXPECT_EQ(deployment_text(two_devices(), failed), "m: failed: too large; add a phone");
}

TEST(StatusTable, OfSeveralModelsEachIsTold) {
  Json view = two_devices();
  view["deployments"].push_back({{"model", "other"}, {"stage", "starting"}});
  view["devices"][2]["role"] = "master";
  view["devices"][2]["phase"] = "loading";
  view["devices"][2]["progress"] = 0.5;
  EXPECT_THAT(status_lines(view), Contains("other: starts the engine")) << "what loads is another model";
  view["devices"][2]["model"] = "other";
  const auto lines = status_lines(view);
  EXPECT_THAT(lines, Contains("serves m"));
  EXPECT_THAT(lines, Contains("  on phone-1, tablet"));
  EXPECT_THAT(lines, Contains("loading other  50%"));
  EXPECT_EQ(text_in(deployment_of(view, "other"), "stage"), "starting");
  EXPECT_TRUE(deployment_of(view, "none").empty());
}

TEST(StatusTable, WithoutAnyModelTheCureIsTold) {
  Json view = two_devices();
  view["deployments"] = Json::array();
  EXPECT_THAT(status_lines(view), Contains(HasSubstr("caravan serve MODEL")));
}

TEST(StatusTable, ASmallerOrWrongViewIsNoCrash) {
  for (const char* text :
       {"null", "[]", "{}", "7", R"({"devices": {"a": 1}})", R"({"devices": [null, 3, "x"]})",
        R"({"deployments": [{"replicas": [{"shares": [1]}], "model": 5, "stage": []}, 7]})",
        R"({"deployments": 1})"}) {
    EXPECT_FALSE(status_lines(Json::parse(text)).empty()) << text;
  }
}

TEST(StatusTable, WhoWasRemovedIsTold) {
  Json view = two_devices();
  view["cluster"]["member"] = false;
  EXPECT_THAT(status_lines(view), Contains(HasSubstr("was removed")));
}

}  // namespace
}  // namespace caravan::cli
