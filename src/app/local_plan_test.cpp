#include "app/local_plan.h"

#include <gtest/gtest.h>

#include "base/json_look.h"
#include "base/measurement.h"
#include "plan/planner_testing.h"

namespace caravan::app {
namespace {

using plan::testing_support::transformer;

const model::ModelFacts kModel = transformer(12, mebibytes(10), mebibytes(80));

plan::Plan two_devices() {
  const auto plan = plan::plan_by_memory(
      kModel, {{"one", mebibytes(500)}, {"two", mebibytes(400)}, {"three", mebibytes(300)}},
      {.context = 512});
  EXPECT_TRUE(plan.ok());
  return *plan;
}

Measurement measured(Quantity quantity, int columns, double rate) {
  Measurement measurement;
  measurement.quantity = quantity;
  measurement.type = "q4_0";
  measurement.layout = "plain";
  measurement.threads = 1;
  measurement.columns = columns;
  measurement.rate = rate;
  return measurement;
}

device::Speed speed() {
  device::Speed speed;
  speed.threads = {1};
  speed.measurements = {measured(Quantity::decode, 1, 5e9),      measured(Quantity::prefill, 512, 2e10),
                        measured(Quantity::small_op, 1, 5e5),    measured(Quantity::attention, 1, 1e9),
                        measured(Quantity::attention, 512, 4e9), measured(Quantity::elements, 512, 4e8)};
  return speed;
}

TEST(LocalPlan, IsPredictedByWhatWasMeasured) {
  const plan::Plan before = two_devices();
  const plan::Plan plan = predicted_here(kModel, before, speed(), 1);
  EXPECT_GT(plan.predicted.decode, 0);
  EXPECT_GT(plan.predicted.air, 0);
  double seconds = 0;
  for (std::size_t rank = 0; rank < plan.shares.size(); ++rank) {
    const plan::Share& share = plan.shares[rank];
    EXPECT_EQ(share.layer_count, before.shares[rank].layer_count) << "nothing else changes";
    EXPECT_EQ(share.total(), before.shares[rank].total());
    EXPECT_EQ(share.compute > 0, share.layer_count > 0);
    EXPECT_EQ(share.hop > 0, rank > 0);
    seconds += share.compute + share.hop;
  }
  EXPECT_LT(seconds, 1 / plan.predicted.decode) << "head and way back are not in the shares";
}

TEST(LocalPlan, WithoutMeasurementsItStaysAsItIs) {
  for (const auto& [known, threads] : {std::pair(device::Speed(), 1), std::pair(speed(), 2)}) {
    const plan::Plan plan = predicted_here(kModel, two_devices(), known, threads);
    EXPECT_EQ(plan.predicted.decode, 0);
    EXPECT_EQ(plan.shares[1].compute, 0);
  }
}

TEST(LocalPlan, IsLeftForTheTrace) {
  const auto folder = *TemporaryFolder::make("caravan-test");
  EXPECT_TRUE(plan_left(folder.path()).is_null());
  const plan::Plan plan = predicted_here(kModel, two_devices(), speed(), 1);
  ASSERT_TRUE(leave_plan(folder.path(), "m", plan).ok());
  const Json view = plan_left(folder.path());
  EXPECT_EQ(view["self"]["id"], "one");
  const Json& replica = view["deployments"][0]["replicas"][0];
  EXPECT_EQ(view["deployments"][0]["model"], "m");
  EXPECT_EQ(replica["shares"][1]["device"], "two");
  EXPECT_GT(number_in(replica["shares"][1], "hop_ms"), 0);
  EXPECT_GT(number_in(replica["predicted"], "decode"), 0);
}

}  // namespace
}  // namespace caravan::app
