#include "cli/status_table.h"

#include <gmock/gmock.h>

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
       "role": "master", "phase": "ready", "memory": 629145600, "api": "http://127.0.0.1:8080", "engine_build": "b"},
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
