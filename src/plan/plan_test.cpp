#include "plan/plan.h"

#include <numeric>
#include <random>

#include <gtest/gtest.h>

namespace caravan::plan {
namespace {

model::ModelFacts model_of(int n_layers, Bytes layer, Bytes embedding) {
  model::ModelFacts model;
  model.name = "test-model";
  model.layers.assign(static_cast<std::size_t>(n_layers), layer);
  model.kv_per_token.assign(static_cast<std::size_t>(n_layers), Bytes{1024});
  model.embedding = embedding;
  model.head = embedding;
  model.tied_head = true;
  return model;
}

std::vector<int> counts_of(const Plan& plan) {
  std::vector<int> counts;
  for (const Share& share : plan.shares) counts.push_back(share.layer_count);
  return counts;
}

TEST(PlanByMemory, SplitsInProportionToWhatIsLeft) {
  const auto plan = plan_by_memory(model_of(30, mebibytes(2), mebibytes(16)),
                                   {{"a", mebibytes(600)}, {"b", mebibytes(400)}, {"c", mebibytes(400)}}, {});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  // Left for layers: 600-96-16 = 488, 400-64 = 336, 336: shares 12.6, 8.7, 8.7; the two largest remainders
  // round up.
  EXPECT_EQ(counts_of(*plan), (std::vector<int>{12, 9, 9}));
  EXPECT_EQ(plan->shares[1].first_layer, 12);
  EXPECT_EQ(plan->shares[2].first_layer, 21);
  EXPECT_EQ(plan->shares[0].weights, mebibytes(2 * 12 + 16)) << "a tied head is there once";
  EXPECT_EQ(plan->shares[1].kv_cache, Bytes{9ULL * 1024 * 2048});
  EXPECT_TRUE(plan->fits_on_master);
}

TEST(PlanByMemory, TheLargestIsTheMasterAndTiesGoToTheFirst) {
  const auto model = model_of(8, mebibytes(2), mebibytes(16));
  EXPECT_EQ(plan_by_memory(model, {{"a", mebibytes(400)}, {"b", mebibytes(500)}}, {})->shares[0].device, "b");
  EXPECT_EQ(plan_by_memory(model, {{"a", mebibytes(400)}, {"b", mebibytes(400)}}, {})->shares[0].device, "a");
}

TEST(PlanByMemory, LeavesOutWhatCannotHoldALayerAndSaysWhy) {
  const auto plan = plan_by_memory(model_of(8, mebibytes(2), mebibytes(16)),
                                   {{"a", mebibytes(400)}, {"tiny", mebibytes(64)}}, {});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(counts_of(*plan), std::vector<int>{8});
  ASSERT_EQ(plan->left_out.size(), 1U);
  EXPECT_EQ(plan->left_out[0].device, "tiny");
  EXPECT_NE(plan->left_out[0].reason.find("64.0 MiB"), std::string::npos);
}

TEST(PlanByMemory, SaysWhatIsMissing) {
  const auto plan = plan_by_memory(model_of(40, mebibytes(100), mebibytes(100)),
                                   {{"a", mebibytes(1000)}, {"b", mebibytes(600)}}, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, Code::exhausted);
  EXPECT_NE(plan.error().message.find("2 devices offer 1.56 GiB"), std::string::npos) << plan.error().message;
  EXPECT_NE(plan.error().message.find("of 40 layers do not fit"), std::string::npos) << plan.error().message;
  EXPECT_NE(plan.error().hint.find("more would do"), std::string::npos);
}

TEST(PlanByMemory, SaysWhenNoDeviceCanBeTheMaster) {
  const auto plan = plan_by_memory(model_of(4, mebibytes(1), mebibytes(500)),
                                   {{"a", mebibytes(400)}, {"b", mebibytes(300)}}, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.error().message.find("on the master"), std::string::npos) << plan.error().message;
}

TEST(PlanByMemory, RefusesNonsense) {
  EXPECT_EQ(plan_by_memory(model_of(4, mebibytes(1), mebibytes(1)), {}, {}).error().code, Code::invalid);
  EXPECT_EQ(plan_by_memory(model::ModelFacts{}, {{"a", mebibytes(400)}}, {}).error().code, Code::invalid);
  EXPECT_EQ(
      plan_by_memory(model_of(4, mebibytes(1), mebibytes(1)), {{"a", mebibytes(400)}}, {0, 1}).error().code,
      Code::invalid);
}

/// For random models and devices: every layer is somewhere exactly once, in order, nobody is over budget, and
/// the same input gives the same plan.
TEST(PlanByMemory, HoldsItsInvariantsOnRandomClusters) {
  std::mt19937 random(1);
  const auto from_to = [&](unsigned low, unsigned high) { return low + random() % (high - low + 1); };
  int planned = 0;
  for (unsigned round = 0; round < 5000; ++round) {
    const auto model = model_of(static_cast<int>(from_to(1, 128)), Bytes{from_to(1U << 16U, 1U << 28U)},
                                mebibytes(from_to(1, 500)));
    std::vector<DeviceOffer> devices;
    for (unsigned i = 0; i < 1 + round % 16U; ++i) {
      devices.push_back({"d" + std::to_string(i), mebibytes(from_to(0, 8000))});
    }
    const auto plan = plan_by_memory(model, devices, {static_cast<int>(from_to(1, 8192)), 1});
    if (!plan.ok()) {
      ASSERT_EQ(plan.error().code, Code::exhausted);
      continue;
    }
    ++planned;
    int next = 0;
    for (const Share& share : plan->shares) {
      ASSERT_EQ(share.first_layer, next);
      ASSERT_TRUE(share.rank == 0 || share.layer_count > 0);
      ASSERT_LE(share.total(), share.budget) << "round " << round << " " << share.device;
      next += share.layer_count;
    }
    ASSERT_EQ(next, static_cast<int>(model.n_layers()));
    ASSERT_EQ(plan->shares.size() + plan->left_out.size(), devices.size());
  }
  EXPECT_GT(planned, 1000);
}

}  // namespace
}  // namespace caravan::plan
