#include "fabric/module/plan.h"

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"

namespace caravan::fabric {
namespace {

using testing::HasSubstr;

const std::string kKeyText(64, 'a');

Json stage() { return {{"name", "phone"}, {"address", "127.0.0.1:4001"}, {"key", kKeyText}}; }

std::string plan_with(const Json& change) {
  Json json = {{"stages", {stage()}}};
  json.merge_patch(change);
  return json.dump();
}

std::string stage_with(const Json& change) {
  auto one = stage();
  one.merge_patch(change);
  return Json{{"stages", {one}}}.dump();
}

void expect_refused(const std::string& text, std::string_view because) {
  const auto plan = parse_plan(text);
  ASSERT_FALSE(plan) << text;
  EXPECT_EQ(plan.error().code, Code::invalid);
  EXPECT_THAT(plan.error().message, HasSubstr(std::string(because))) << text;
}

TEST(Plan, IsReadWithItsDefaults) {
  const auto plan = parse_plan(plan_with({{"news", 1}}));
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->stages.size(), 1U);
  EXPECT_EQ(plan->stages[0].name, "phone");
  EXPECT_EQ(plan->stages[0].address, "127.0.0.1:4001");
  EXPECT_EQ(plan->stages[0].peer, "");
  EXPECT_EQ(plan->stages[0].key[31], 0xaa);
  EXPECT_EQ(plan->stages[0].threads, 0U);
  EXPECT_EQ(plan->head, HeadPlace::master);
  EXPECT_EQ(plan->wire, Format::as_is);
  EXPECT_EQ(plan->timeout.count(), 8000);
}

TEST(Plan, IsReadWithAllItsFields) {
  Json json = {{"stages", {stage(), stage()}}, {"head", "worker"}, {"wire", "q8_0"}, {"timeout_ms", 500}};
  json["stages"][1].update({{"name", "tablet"}, {"peer", "[::1]:5000"}, {"threads", 4}});
  const auto plan = parse_plan(json.dump());
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->stages.size(), 2U);
  EXPECT_EQ(plan->stages[1].name, "tablet");
  EXPECT_EQ(plan->stages[1].peer, "[::1]:5000");
  EXPECT_EQ(plan->stages[1].threads, 4U);
  EXPECT_EQ(plan->head, HeadPlace::worker);
  EXPECT_EQ(plan->wire, Format::q8_0);
  EXPECT_EQ(plan->timeout.count(), 500);
  EXPECT_EQ(parse_plan(plan_with({{"wire", "f16"}}))->wire, Format::f16);
}

TEST(Plan, NamesTheFieldThatIsWrong) {
  expect_refused("{", "plan");
  expect_refused("[]", "plan");
  expect_refused("{}", "stages");
  expect_refused(R"({"stages":[]})", "stages");
  expect_refused(R"({"stages":[7]})", "stages");
  expect_refused(Json{{"stages", std::vector<Json>(kMaxPlanStages + 1, stage())}}.dump(), "stages");
  expect_refused(plan_with({{"head", "nowhere"}}), "head");
  expect_refused(plan_with({{"head", 3}}), "head");
  expect_refused(plan_with({{"wire", "q4_0"}}), "wire");
  expect_refused(plan_with({{"wire", 16}}), "wire");
  expect_refused(plan_with({{"timeout_ms", 1}}), "timeout_ms");
  expect_refused(stage_with({{"name", ""}}), "name");
  expect_refused(stage_with({{"name", std::string(kMaxName + 1, 'x')}}), "name");
  expect_refused(stage_with({{"name", "a\nb"}}), "name");
  expect_refused(stage_with({{"key", std::string(63, 'a')}}), "key");
  expect_refused(stage_with({{"key", std::string(64, 'g')}}), "key");
  expect_refused(stage_with({{"key", nullptr}}), "key");
  expect_refused(stage_with({{"threads", kMaxThreads + 1}}), "threads");
  expect_refused(stage_with({{"threads", "4"}}), "threads");
  expect_refused(stage_with({{"address", "127.0.0.1"}}), "address");
  expect_refused(stage_with({{"address", "127.0.0.1:0"}}), "address");
  expect_refused(stage_with({{"address", "phone.example:4001"}}), "address");
  expect_refused(stage_with({{"peer", "x:"}}), "peer");
}

TEST(Plan, AFileThatOthersMayReadIsRefused) {
  auto folder = TemporaryFolder::make("plan");
  ASSERT_TRUE(folder);
  const auto file = folder->path() / "plan.json";
  ASSERT_TRUE(write_file_atomically(file, plan_with(Json::object())));
  EXPECT_TRUE(read_plan(file));
  ASSERT_EQ(chmod(file.c_str(), 0640), 0);
  EXPECT_FALSE(read_plan(file));
  EXPECT_FALSE(read_plan(folder->path() / "missing"));
}

}  // namespace
}  // namespace caravan::fabric
