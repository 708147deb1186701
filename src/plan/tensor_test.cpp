#include "plan/tensor.h"

#include <gmock/gmock.h>

#include "plan/planner.h"
#include "plan/planner_testing.h"

namespace caravan::plan {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::cluster;
using testing_support::device;
using testing_support::transformer;

/// With heads that two, but not three, devices can share.
model::ModelFacts with_heads(int layers, Bytes layer, std::uint64_t width = 1024) {
  auto model = transformer(layers, layer, mebibytes(40), width);
  for (model::LayerFacts& facts : model.layer_facts) facts.key_length = facts.key_width / 4;
  return model;
}

/// The trial's models on one core: what its layers and head took of a token, and what a prompt's token took.
struct Trial {
  int layers;
  double width;
  double layers_seconds;
  double head_seconds;
  double prompt_seconds;
};
constexpr Trial kHalfBillion{24, 896, 0.0095, 0.0077, 1 / 317.0};
constexpr Trial kOneBillion{16, 2048, 0.0265, 0.012, 1 / 129.0};

Prediction predicted(const Trial& trial, const Link& link) {
  DeviceProfile core = device("a", mebibytes(4000), 1);
  core.kernels["q4_0"] = {1e9, 1e9, 1e9, 1e9};
  core.node_seconds = 0;
  DeviceProfile other = core;
  other.name = "b";
  Part layer;
  layer.active = {
      {"q4_0", trial.layers_seconds / trial.layers * 1e9, trial.prompt_seconds / trial.layers * 1e9}};
  Workload work;
  work.layers.assign(static_cast<std::size_t>(trial.layers), layer);
  work.head.active = {{"q4_0", trial.head_seconds * 1e9, 0}};
  work.width = trial.width;
  work.kv_heads = 2;
  const TensorOutlook outlook = tensor_outlook(work, Cluster{{core, other}, link, {}}, {});
  EXPECT_EQ(outlook.hindrance, "");
  return {outlook.decode, outlook.prefill, 0, 0};
}

TEST(Tensor, IsWhatTheTrialMeasured) {
  const Link wire{0.00068, 125e6};
  const Link wifi{0.0047, 190e6 / 8};
  const auto expect_near = [](double predicted, double measured) {
    EXPECT_NEAR(predicted, measured, measured * 0.2);
  };
  expect_near(predicted(kHalfBillion, wire).decode, 27.8);
  expect_near(predicted(kHalfBillion, wifi).decode, 7.1);
  expect_near(predicted(kHalfBillion, wifi).prefill, 57);
  expect_near(predicted(kOneBillion, wire).decode, 22.7);
  expect_near(predicted(kOneBillion, wifi).decode, 8.0);
  expect_near(predicted(kOneBillion, wifi).prefill, 36);
}

TEST(Tensor, IsExplainedAsSlowerOverWiFi) {
  const auto model = with_heads(32, mebibytes(60));
  const auto proposal = propose(
      model, cluster({device("a", mebibytes(1600), 8), device("b", mebibytes(1600), 8)}), {.context = 1024});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  EXPECT_THAT(proposal->reasons, Contains(HasSubstr("over a and b that would give")));
  EXPECT_THAT(proposal->reasons, Contains(HasSubstr("with 64 sums of")));
}

TEST(Tensor, IsNamedWhereItWouldBeFasterAndStaysUnchosen) {
  const auto model = with_heads(32, mebibytes(60));
  const auto fast =
      cluster({device("a", mebibytes(1600), 2), device("b", mebibytes(1600), 2)}, 0.0001, 10000);
  const auto proposal = propose(model, fast, {.context = 1024});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  EXPECT_THAT(proposal->reasons, Contains(HasSubstr("cannot start that yet")));
  EXPECT_EQ(proposal->replicas.front().shares.size(), 2U) << "whole layers, as ever";
}

TEST(Tensor, NeedsHeadsRoomAndLinks) {
  const Usage usage{.context = 1024, .data_path = DataPath::fabric};
  const auto outlook = [&](const model::ModelFacts& model, const Cluster& devices, const Usage& with) {
    return tensor_outlook(workload_of(model, with), devices, with);
  };
  const auto model = with_heads(32, mebibytes(60));
  const auto three = cluster({device("slow", mebibytes(3000), 4), device("fast", mebibytes(3000), 9),
                              device("middle", mebibytes(3000), 8)},
                             0.0001, 10000);
  EXPECT_THAT(outlook(model, three, usage).devices, ElementsAre(1, 2)) << "three cannot share four heads";
  Usage quantized = usage;
  quantized.kv = model::KvType::q8_0;
  EXPECT_THAT(outlook(model, three, quantized).hindrance, HasSubstr("KV cache"));
  auto one_head = model;
  for (model::LayerFacts& facts : one_head.layer_facts) facts.key_length = facts.key_width;
  EXPECT_THAT(outlook(one_head, three, usage).hindrance, HasSubstr("heads"));
  EXPECT_THAT(outlook(transformer(32, mebibytes(60), mebibytes(40)), three, usage).hindrance,
              HasSubstr("heads"))
      << "how many there are is not known";
  auto small = three;
  for (DeviceProfile& each : small.devices) each.memory = mebibytes(500);
  EXPECT_THAT(outlook(model, small, usage).hindrance, HasSubstr("room"));
  auto hidden = three;
  for (DeviceProfile& each : hidden.devices) each.accepts = false;
  EXPECT_THAT(outlook(model, hidden, usage).hindrance, HasSubstr("reach each other"));
}

}  // namespace
}  // namespace caravan::plan
