#include "app/way_handling.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "plan/cluster.h"
#include "trace/testing.h"

namespace caravan::app {
namespace {

std::string recording(int tokens) { return dump_json(to_json(trace::tokens_of_two_stages(tokens))); }

Json deployments(const Json& predicted) {
  const Json shares{{{"device", "id-1"}}, {{"device", "id-2"}}, {{"device", "id-3"}}};
  const Json other{{{"device", "id-9"}}, {{"device", "id-8"}}};
  return {{"deployments",
           {{{"model", "other"}, {"replicas", {{{"shares", shares}, {"predicted", {{"air_ms", 1.0}}}}}}},
            {{"model", "m"},
             {"replicas",
              {{{"shares", other}, {"predicted", {{"air_ms", 2.0}}}},
               {{"shares", shares}, {"predicted", predicted}}}}}}}};
}

TEST(WayHandling, IsWhatNobodyComputesOverTheAir) {
  const auto between = time_between(recording(9));
  ASSERT_TRUE(between);
  EXPECT_NEAR(*between, 0.0045, 0.0001);
  EXPECT_NEAR(*handling_of(*between, deployments({{"air_ms", 3.0}}), "m", "id-1"), 0.0005, 0.0001);
}

TEST(WayHandling, IsNeverLessThanNothingNorMuch) {
  EXPECT_EQ(handling_of(0.001, deployments({{"air_ms", 3.0}}), "m", "id-1"), 0.0);
  EXPECT_EQ(handling_of(60, deployments({{"air_ms", 3.0}}), "m", "id-1"), plan::kMostHandling);
}

TEST(WayHandling, OfWhatIsNotKnownIsNothing) {
  for (const Json& predicted : {Json::object(), Json(3), Json{{"air_ms", 0}}})
    EXPECT_FALSE(handling_of(0.01, deployments(predicted), "m", "id-1")) << predicted;
  EXPECT_FALSE(handling_of(0.01, deployments({{"air_ms", 3.0}}), "m", "id-2")) << "no master";
  EXPECT_FALSE(handling_of(0.01, deployments({{"air_ms", 3.0}}), "n", "id-1"));
  EXPECT_FALSE(handling_of(0.01, Json(), "m", "id-1"));
  EXPECT_FALSE(time_between(recording(2))) << "too few tokens";
  EXPECT_FALSE(time_between("{"));
  EXPECT_FALSE(time_between("{}"));
  auto unplaced = trace::tokens_of_two_stages(9);
  unplaced.stages[1].clock.clear();
  EXPECT_FALSE(time_between(dump_json(to_json(unplaced))));
}

TEST(WayHandling, IsKept) {
  const auto folder = *TemporaryFolder::make("caravan-test");
  const fs::path file = folder.path() / "handling.json";
  EXPECT_FALSE(load_handling(file));
  ASSERT_TRUE(save_handling(file, 0.0012).ok());
  EXPECT_EQ(load_handling(file), 0.0012);
  for (const char* wrong : {"", "{}", R"({"version":1,"seconds":-1})", R"({"version":1,"seconds":7})",
                            R"({"version":2,"seconds":0.001})", R"({"version":1,"seconds":"1"})"}) {
    ASSERT_TRUE(write_file_atomically(file, wrong).ok());
    EXPECT_FALSE(load_handling(file)) << wrong;
  }
}

}  // namespace
}  // namespace caravan::app
