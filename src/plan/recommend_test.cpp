#include "plan/recommend.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "plan/planner_testing.h"

namespace caravan::plan {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;
using testing_support::cluster;
using testing_support::device;

const std::vector<model::ModelShape>& shapes() {
  static const std::vector<model::ModelShape> all = model::known_shapes().value();
  return all;
}

const model::ModelShape& shape(std::string_view name) {
  return *std::find_if(shapes().begin(), shapes().end(), [&](const auto& each) { return each.name == name; });
}

double quality(std::string_view name, std::string_view quantization) {
  std::uint64_t newest = 0;
  for (const model::ModelShape& each : shapes()) newest = std::max(newest, each.published);
  return quality_of(shape(name), *model::find_quantization(quantization), newest);
}

Cluster phones() {
  return cluster({device("new", mebibytes(5000), 12), device("tablet", mebibytes(4000), 6),
                  device("old", mebibytes(2000), 3)});
}

TEST(Recommend, ALargerModelWinsUntilItIsQuantizedBelowFourBits) {
  EXPECT_GT(quality("qwen3-14b", "Q4_K_M"), quality("qwen3-8b", "Q8_0"));
  EXPECT_GT(quality("qwen3-8b", "Q4_K_M"), quality("qwen3-14b", "Q2_K"));
  EXPECT_GT(quality("qwen3-8b", "Q4_K_M"), quality("qwen3-8b", "Q3_K_M"));
  for (const model::ModelShape& each : shapes()) {
    double finer = 1e9;
    for (const model::Quantization& quantization : model::quantizations()) {
      EXPECT_LT(quality(each.name, quantization.name), finer) << each.name << " " << quantization.name;
      finer = quality(each.name, quantization.name);
    }
  }
}

TEST(Recommend, OldAndSparseModelsCountForLessThanTheirParameters) {
  EXPECT_GT(quality("llama-3.1-8b", "Q4_K_M"), quality("llama-2-13b", "Q4_K_M"));
  EXPECT_GT(quality("qwen3-14b", "Q4_K_M"), quality("qwen3-30b-a3b", "Q4_K_M"));
  EXPECT_GT(quality("qwen3-30b-a3b", "Q4_K_M"), quality("qwen3-8b", "Q4_K_M"));
  EXPECT_GT(quality("qwen3-14b", "Q4_K_M"), quality("mixtral-8x7b", "Q4_K_M"));
}

TEST(Recommend, WhatIsRecommendedFitsAndIsFastEnough) {
  for (const Objective objective : {Objective::latency, Objective::throughput, Objective::fit}) {
    const Cluster devices = phones();
    RecommendWishes wishes;
    wishes.objective = objective;
    const auto found = recommend(shapes(), devices, wishes);
    ASSERT_TRUE(found.ok()) << found.error().message;
    ASSERT_FALSE(found->best.empty());
    EXPECT_LE(found->best.size(), wishes.most);
    EXPECT_EQ(found->least_speed, objective == Objective::fit ? 1 : kReadingSpeed);
    for (const Recommendation& made : found->best) {
      EXPECT_GE(made.speed, found->least_speed) << made.title;
      Bytes memory;
      for (const Plan& replica : made.proposal.replicas) {
        for (const Share& share : replica.shares) {
          EXPECT_LE(share.total(), share.budget) << made.title << " on " << share.device;
          memory += share.total();
        }
      }
      EXPECT_EQ(memory, made.memory);
      EXPECT_GE(made.memory, made.download) << made.title << ": a part of it is nowhere";
      EXPECT_THAT(made.why, Each(testing::Not(testing::IsEmpty())));
      EXPECT_THAT(made.tried, SizeIs(model::quantizations().size()));
      EXPECT_EQ(std::count_if(made.tried.begin(), made.tried.end(),
                              [&](const Tried& each) {
                                return each.quantization == made.quantization && each.fits &&
                                       each.speed == made.speed && each.download == made.download;
                              }),
                1);
    }
  }
}

TEST(Recommend, ForFitTheMostAbleComesFirstAndMoreMemoryIsNeverWorse) {
  double before = 0;
  for (const std::uint64_t memory : {300U, 1000U, 2000U, 4000U, 8000U, 16000U, 64000U}) {
    RecommendWishes wishes;
    wishes.objective = Objective::fit;
    wishes.least_speed = 0;
    const auto found = recommend(shapes(), cluster({device("a", mebibytes(memory), 10)}), wishes);
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_TRUE(std::is_sorted(found->best.begin(), found->best.end(),
                               [](const auto& a, const auto& b) { return a.quality > b.quality; }));
    EXPECT_GE(found->best.front().quality, before) << memory;
    before = found->best.front().quality;
  }
}

TEST(Recommend, ForLatencyASlowerDeviceGetsASmallerModel) {
  const auto slow = recommend(shapes(), cluster({device("a", mebibytes(64000), 5)}), {});
  const auto fast = recommend(shapes(), cluster({device("a", mebibytes(64000), 100)}), {});
  ASSERT_TRUE(slow.ok() && fast.ok());
  EXPECT_LT(slow->best.front().parameters, fast->best.front().parameters);
  EXPECT_GE(slow->best.front().speed, kReadingSpeed);
}

TEST(Recommend, SaysWhatTheNextLargerModelNeeds) {
  RecommendWishes wishes;
  wishes.objective = Objective::fit;
  const auto small = recommend(shapes(), phones(), wishes);
  ASSERT_TRUE(small.ok() && small->next.has_value());
  EXPECT_THAT(small->next->needs, HasSubstr("are missing"));
  EXPECT_THAT(small->next->cure, HasSubstr("one more device with"));
  for (const Recommendation& made : small->best) EXPECT_LT(made.download, small->next->download);

  const auto slow = recommend(shapes(), cluster({device("a", mebibytes(64000), 20)}), {});
  ASSERT_TRUE(slow.ok() && slow->next.has_value());
  EXPECT_THAT(slow->next->needs, HasSubstr("fits, but answers at"));
  EXPECT_THAT(slow->next->cure, HasSubstr("--min-speed"));

  const auto all = recommend(shapes(), cluster({device("a", mebibytes(200'000), 5000)}), {});
  ASSERT_TRUE(all.ok());
  EXPECT_FALSE(all->next.has_value());
  EXPECT_EQ(all->too_large + all->too_slow, 0U);
}

TEST(Recommend, WhereNothingWillDoTheCureIsNamed) {
  const auto tiny = recommend(shapes(), cluster({device("a", mebibytes(50), 10)}), {});
  ASSERT_FALSE(tiny.ok());
  EXPECT_EQ(tiny.error().code, Code::exhausted);
  EXPECT_THAT(tiny.error().message, HasSubstr("fits into 50.0 MiB"));
  const auto slow = recommend(shapes(), cluster({device("a", mebibytes(4000), 0.01)}), {});
  ASSERT_FALSE(slow.ok());
  EXPECT_THAT(slow.error().message, HasSubstr("none reaches 5.0 tokens/s"));
  EXPECT_THAT(slow.error().hint, HasSubstr("--min-speed"));
  EXPECT_EQ(recommend(shapes(), {}, {}).error().code, Code::invalid);
}

TEST(Recommend, ThroughputCountsTheSpeedOfEachAnswer) {
  RecommendWishes wishes;
  wishes.objective = Objective::throughput;
  const auto found = recommend(
      shapes(), cluster({device("a", mebibytes(3000), 20), device("b", mebibytes(3000), 20)}), wishes);
  ASSERT_TRUE(found.ok()) << found.error().message;
  const Recommendation& first = found->best.front();
  EXPECT_THAT(first.proposal.replicas, SizeIs(2));
  EXPECT_NEAR(first.speed * 8, first.proposal.predicted.decode, 1e-6);
  EXPECT_THAT(first.why.front(), HasSubstr("side by side"));
}

TEST(Recommend, NoModelGetsMoreContextThanItWasTrainedWith) {
  RecommendWishes wishes;
  wishes.context = 20'000;
  wishes.most = 100;
  const auto found = recommend(shapes(), cluster({device("a", mebibytes(64000), 100)}), wishes);
  ASSERT_TRUE(found.ok());
  int limited = 0;
  for (const Recommendation& made : found->best) {
    const int trained = static_cast<int>(shape(made.name).context);
    EXPECT_EQ(made.proposal.replicas.front().context, std::min(20'000, trained)) << made.title;
    limited += trained < 20'000 ? 1 : 0;
  }
  EXPECT_GT(limited, 0);
}

TEST(Recommend, TheSameDevicesGetTheSameAnswer) {
  const auto once = recommend(shapes(), phones(), {});
  const auto again = recommend(shapes(), phones(), {});
  ASSERT_TRUE(once.ok() && again.ok());
  ASSERT_EQ(once->best.size(), again->best.size());
  for (std::size_t i = 0; i < once->best.size(); ++i) {
    EXPECT_EQ(once->best[i].name, again->best[i].name);
    EXPECT_EQ(once->best[i].quantization, again->best[i].quantization);
    EXPECT_EQ(once->best[i].why, again->best[i].why);
  }
}

}  // namespace
}  // namespace caravan::plan
