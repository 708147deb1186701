#include "plan/predict_again.h"

#include <gtest/gtest.h>

#include "plan/planner.h"
#include "plan/planner_testing.h"

namespace caravan::plan {
namespace {

using testing_support::cluster;
using testing_support::device;
using testing_support::transformer;

const model::ModelFacts& some_model() {
  static const model::ModelFacts kModel = transformer(12, mebibytes(20), mebibytes(40));
  return kModel;
}

/// Two devices that only together hold the model.
Cluster two(double rate = 8) {
  return cluster({device("a", mebibytes(320), 8), device("b", mebibytes(320), rate)});
}

Plan planned(DataPath path, const Cluster& devices = two()) {
  Wishes wishes;
  wishes.data_path = path;
  wishes.context = 512;
  return propose(some_model(), devices, wishes).value().replicas.front();
}

void expect_same(const Prediction& a, const Prediction& b) {
  EXPECT_DOUBLE_EQ(a.decode, b.decode);
  EXPECT_DOUBLE_EQ(a.prefill, b.prefill);
  EXPECT_DOUBLE_EQ(a.first_token, b.first_token);
  EXPECT_DOUBLE_EQ(a.load, b.load);
  EXPECT_DOUBLE_EQ(a.load_again, b.load_again);
}

TEST(PredictAgain, IsWhatThePlannerSaidWhileNothingHasChanged) {
  for (const DataPath path : {DataPath::rpc, DataPath::fabric}) {
    const Plan plan = planned(path);
    ASSERT_EQ(plan.shares.size(), 2U);
    Plan forgetful = plan;
    forgetful.predicted = {};
    const auto again = predict_again(some_model(), two(), forgetful);
    ASSERT_TRUE(again);
    expect_same(again->predicted, plan.predicted);
    EXPECT_DOUBLE_EQ(again->shares.at(1).compute, plan.shares.at(1).compute);
    EXPECT_DOUBLE_EQ(again->shares.at(1).hop, plan.shares.at(1).hop);
  }
}

TEST(PredictAgain, FollowsADeviceThatHasBecomeSlower) {
  const Plan plan = planned(DataPath::fabric);
  const auto again = predict_again(some_model(), two(2), plan);
  ASSERT_TRUE(again);
  EXPECT_LT(again->predicted.decode, plan.predicted.decode * 0.6);
  EXPECT_GT(again->shares.at(1).compute, plan.shares.at(1).compute * 3.9);
  EXPECT_EQ(again->shares.at(1).layer_count, plan.shares.at(1).layer_count) << "the layout stays";
}

TEST(PredictAgain, FollowsALinkThatHasBecomeSlower) {
  const Plan plan = planned(DataPath::fabric);
  Cluster far = two();
  far.usual.round_trip *= 10;
  const auto again = predict_again(some_model(), far, plan);
  ASSERT_TRUE(again);
  EXPECT_LT(again->predicted.decode, plan.predicted.decode * 0.8);
}

TEST(PredictAgain, TheThreadsOfTheEngineThatRunsCount) {
  const Plan plan = planned(DataPath::fabric);
  Cluster more = two();
  for (DeviceProfile& one : more.devices) {
    DeviceSpeed faster = device("", Bytes{}, 80);
    faster.threads = 8;
    one.with_other_threads.push_back(faster);
  }
  expect_same(predict_again(some_model(), more, plan)->predicted, plan.predicted);
  Cluster fewer = two();
  for (DeviceProfile& one : fewer.devices) one.threads = 2;
  const auto crowded = predict_again(some_model(), fewer, plan);
  ASSERT_TRUE(crowded);
  EXPECT_LT(crowded->predicted.decode, plan.predicted.decode * 0.7) << "four threads where two can run";
}

TEST(PredictAgain, SaysNothingOfWhatItDoesNotKnow) {
  const Plan plan = planned(DataPath::rpc);
  EXPECT_FALSE(predict_again(some_model(), cluster({device("a", mebibytes(320), 8)}), plan));
  Cluster apart = two();
  apart.links[{"a", "b"}] = std::nullopt;
  EXPECT_FALSE(predict_again(some_model(), apart, plan));
  EXPECT_FALSE(predict_again(transformer(13, mebibytes(20), mebibytes(40)), two(), plan));
  EXPECT_FALSE(predict_again(some_model(), two(), Plan{}));
}

}  // namespace
}  // namespace caravan::plan
