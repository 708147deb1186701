#include "fabric/module/all_reduce.h"

#include <array>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/module/device_testing.h"
#include "fabric/wire/reduce_message.h"

namespace caravan::fabric {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// As ggml's split backend goes about it.
class AllReduceTest : public DeviceTest {
 protected:
  void begin() {
    testing::internal::CaptureStderr();
    context_of_sums_ = call<ggml_backend_comm_init_t>("ggml_backend_comm_init")(backends_.data(), 2);
    said_ = testing::internal::GetCapturedStderr();
    ASSERT_NE(context_of_sums_, nullptr);
    for (std::size_t i = 0; i < 2; ++i) told(i);
  }
  void TearDown() override {
    if (context_of_sums_ != nullptr)
      call<ggml_backend_comm_free_t>("ggml_backend_comm_free")(context_of_sums_);
    DeviceTest::TearDown();
  }
  bool add_up(ggml_tensor* a, ggml_tensor* b) {
    std::array<ggml_tensor*, 2> both{a, b};
    return call<ggml_backend_comm_allreduce_tensor_t>("ggml_backend_comm_allreduce_tensor")(context_of_sums_,
                                                                                            both.data());
  }
  /// What a graph has computed, or would have.
  ggml_tensor* result_at(std::size_t stage, std::size_t offset, bool computed = true) {
    auto* const tensor = tensor_at(stage, offset);
    if (computed) tensor->flags |= GGML_TENSOR_FLAG_COMPUTE;
    return tensor;
  }
  template <typename F>
  static F call(const char* name) {
    return reinterpret_cast<F>(all_reduce_function(name));
  }

  void* context_of_sums_ = nullptr;
  std::string said_;
};

class DirectAllReduceTest : public AllReduceTest {
 protected:
  void adjust(Plan& plan) override { plan.stages[1].peers = {"127.0.0.1:9", ""}; }
};

TEST_F(DirectAllReduceTest, EachWorkerIsToldWhatToAddUp) {
  begin();
  EXPECT_THAT(said_, HasSubstr("2 stages are added up by the workers themselves"));
  ASSERT_TRUE(add_up(result_at(0, 64), result_at(1, 128, false)));
  EXPECT_THAT(told(0), ElementsAre(Type::reduce));
  EXPECT_THAT(told(1), ElementsAre(Type::reduce));
  const auto first = read_message<Reduce>(workers_[0].payloads(Type::reduce).at(0));
  const auto second = read_message<Reduce>(workers_[1].payloads(Type::reduce).at(0));
  EXPECT_EQ(first->tag, second->tag);
  EXPECT_EQ(first->members, 3U);
  EXPECT_EQ(first->contributors, 1U) << "what was not computed counts as zeros";
  EXPECT_EQ(second->contributors, 1U);
  EXPECT_EQ(first->region, (Region{remote_buffer(buffers_[0])->number, 64, 16}));
  EXPECT_EQ(second->region, (Region{remote_buffer(buffers_[1])->number, 128, 16}));
  ASSERT_TRUE(add_up(result_at(0, 64), result_at(1, 128)));
  EXPECT_TRUE(streams_->flush());
  ASSERT_TRUE(workers_[0].wait_for(Type::reduce, 2));
  const auto next = read_message<Reduce>(workers_[0].payloads(Type::reduce).at(1));
  EXPECT_NE(next->tag, first->tag);
}

TEST_F(DirectAllReduceTest, WhatWasReadAheadIsReadAgain) {
  begin();
  auto* const sum = sum_at(128, tensor_at(0, 0), tensor_at(0, 64), "result");
  auto* const graph = graph_of(sum, 5);
  std::array<float, 4> back{};
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
    ggml_backend_tensor_get(sum, back.data(), 0, 16);
  }
  ASSERT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  ASSERT_TRUE(add_up(sum, result_at(1, 128)));
  told(0);
  ggml_backend_tensor_get(sum, back.data(), 0, 16);
  EXPECT_THAT(told(0), ElementsAre(Type::get));
}

TEST_F(DirectAllReduceTest, OthersAreLeftToGgml) {
  begin();
  auto* const half = tensor_at(0, 0);
  half->type = GGML_TYPE_F16;
  EXPECT_FALSE(add_up(half, result_at(1, 0)));
  auto* const gaps = tensor_at(0, 0);
  gaps->ne[0] = gaps->ne[1] = 2;
  gaps->nb[1] = 16;
  EXPECT_FALSE(add_up(gaps, result_at(1, 0)));
  EXPECT_FALSE(add_up(result_at(1, 0), result_at(0, 0))) << "of other devices";
  auto* const less = tensor_at(1, 0);
  less->ne[0] = 2;
  EXPECT_FALSE(add_up(result_at(0, 0), less));
  EXPECT_THAT(told(0), IsEmpty());
}

TEST_F(DirectAllReduceTest, AfterAFailureNothingAborts) {
  begin();
  ASSERT_TRUE(add_up(result_at(0, 64), result_at(1, 128)));
  testing::internal::CaptureStderr();
  streams_->fail(1, "lost");
  testing::internal::GetCapturedStderr();
  EXPECT_TRUE(add_up(result_at(0, 64), result_at(1, 128)));
  auto* const late = ggml_backend_buft_alloc_buffer(&devices_[0]->buffers, 64);
  ASSERT_NE(late, nullptr) << "ggml's split backend aborts without";
  ggml_backend_buffer_free(late);
  auto* const graph = graph_of(sum_at(128, tensor_at(0, 0), tensor_at(0, 64), "sum"), 5);
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_FAILED);
}

TEST_F(AllReduceTest, WithoutWaysBetweenAllItGoesThroughTheMaster) {
  begin();
  EXPECT_THAT(said_, HasSubstr("through the master"));
  auto* const a = result_at(0, 64);
  auto* const b = result_at(1, 128);
  const std::array<float, 4> ones{1, 2, 3, 4};
  const std::array<float, 4> tens{10, 20, 30, 40};
  ggml_backend_tensor_set(a, ones.data(), 0, 16);
  ggml_backend_tensor_set(b, tens.data(), 0, 16);
  ASSERT_TRUE(add_up(a, b));
  std::array<float, 4> back{};
  for (auto* const each : {a, b}) {
    ggml_backend_tensor_get(each, back.data(), 0, 16);
    EXPECT_THAT(back, ElementsAre(11, 22, 33, 44));
  }
  b->flags &= ~GGML_TENSOR_FLAG_COMPUTE;
  ASSERT_TRUE(add_up(a, b));
  ggml_backend_tensor_get(b, back.data(), 0, 16);
  EXPECT_THAT(back, ElementsAre(11, 22, 33, 44));
}

TEST_F(AllReduceTest, OnlyTheModulesOwnDevicesAreTaken) {
  std::array<ggml_backend_t, 2> twice{backends_[0], backends_[0]};
  EXPECT_EQ(call<ggml_backend_comm_init_t>("ggml_backend_comm_init")(twice.data(), 2), nullptr);
  EXPECT_EQ(all_reduce_function("ggml_backend_set_n_threads"), nullptr);
}

}  // namespace
}  // namespace caravan::fabric
