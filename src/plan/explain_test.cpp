#include "plan/explain.h"

#include <gmock/gmock.h>

#include "plan/planner.h"
#include "plan/planner_testing.h"

namespace caravan::plan {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing_support::cluster;
using testing_support::device;
using testing_support::transformer;

TEST(Explain, WhatThereIsInsteadKeepsToTheMasters) {
  const auto model = transformer(24, mebibytes(10), mebibytes(80));
  std::vector<DeviceProfile> devices;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) devices.push_back(device(name, mebibytes(4000), 5));
  const auto proposal = propose(model, cluster(devices), {.masters = {"a"}});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  EXPECT_THAT(proposal->alternatives,
              Contains(testing::Field(&Alternative::what, "without a it does not fit")));
  const auto others = propose(model, cluster(devices), {});
  ASSERT_TRUE(others.ok());
  EXPECT_THAT(others->alternatives,
              Contains(testing::Field(&Alternative::what, HasSubstr("tokens/s, as now"))));
}

/// "one more device with 321 MiB would do".
std::uint64_t megabytes_in(const std::string& hint) {
  const std::string before = "one more device with ";
  const auto at = hint.find(before);
  return at == std::string::npos ? 0 : std::stoull(hint.substr(at + before.size()));
}

TEST(Explain, TheDeviceThatIsMissingIsAsLargeAsItHasToBe) {
  const auto model = transformer(32, mebibytes(20), mebibytes(100));
  for (const DataPath path : {DataPath::fabric, DataPath::rpc}) {
    // In the first nobody has room for what a master needs.
    for (const std::uint64_t each : {140U, 300U, 400U}) {
      std::vector<DeviceProfile> devices{device("a", mebibytes(each), 5), device("b", mebibytes(each), 4)};
      const auto refused = propose(model, cluster(devices), {.data_path = path, .context = 512});
      ASSERT_FALSE(refused.ok()) << each;
      const std::uint64_t missing = megabytes_in(refused.error().hint);
      ASSERT_GT(missing, 2U) << refused.error().hint;
      ASSERT_LT(missing, 1000U) << refused.error().hint;
      devices.push_back(device("c", mebibytes(missing + 1), 4));  // the text is rounded
      EXPECT_TRUE(propose(model, cluster(devices), {.data_path = path, .context = 512}).ok()) << each;
      devices.back().memory = mebibytes(missing - 2);
      EXPECT_FALSE(propose(model, cluster(devices), {.data_path = path, .context = 512}).ok()) << each;
    }
  }
}

}  // namespace
}  // namespace caravan::plan
