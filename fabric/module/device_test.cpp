#include <algorithm>
#include <array>
#include <memory>

#include <ggml-impl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/module/device_testing.h"

namespace caravan::fabric {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

const std::array<float, 4> kNumbers{1, 2, 3, 4};

TEST_F(DeviceTest, SaysWhatItIs) {
  auto* const device = &devices_[1]->device;
  EXPECT_STREQ(ggml_backend_dev_name(device), "Caravan1");
  EXPECT_THAT(ggml_backend_dev_description(device), HasSubstr("two"));
  std::size_t free = 0;
  std::size_t total = 0;
  ggml_backend_dev_memory(device, &free, &total);
  EXPECT_EQ(free, 1000U);
  EXPECT_EQ(total, 2000U);
  EXPECT_TRUE(ggml_backend_dev_supports_buft(device, &devices_[1]->buffers));
  EXPECT_FALSE(ggml_backend_dev_supports_buft(device, &devices_[0]->buffers));
  EXPECT_EQ(ggml_backend_buft_get_alignment(&devices_[1]->buffers), 64U);
  EXPECT_EQ(ggml_backend_buft_get_max_size(&devices_[1]->buffers), 1U << 20U);
  EXPECT_FALSE(ggml_backend_buft_is_host(&devices_[1]->buffers));
}

TEST_F(DeviceTest, BytesGoThereAndComeBack) {
  auto* const tensor = tensor_at(0, 64);
  ggml_backend_tensor_set(tensor, kNumbers.data(), 0, 16);
  ggml_backend_tensor_memset(tensor, 0, 4, 4);
  std::array<float, 4> back{};
  ggml_backend_tensor_get(tensor, back.data(), 0, 16);
  EXPECT_THAT(back, ElementsAre(1, 0, 3, 4));
  ggml_backend_buffer_clear(buffers_[0], 0);
  ggml_backend_tensor_get_async(backends_[0], tensor, back.data(), 0, 16);
  ggml_backend_synchronize(backends_[0]);
  EXPECT_THAT(back, ElementsAre(0, 0, 0, 0));
}

TEST_F(DeviceTest, LongTensorsTravelInChunks) {
  constexpr std::int64_t kNumbersInIt = 600'000;
  auto* const buffer = ggml_backend_buft_alloc_buffer(&devices_[0]->buffers, 4 * kNumbersInIt);
  ASSERT_NE(buffer, nullptr);
  auto* const tensor = ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, kNumbersInIt);
  ggml_backend_tensor_alloc(buffer, tensor, ggml_backend_buffer_get_base(buffer));
  std::vector<float> numbers(kNumbersInIt);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  told(0);
  ggml_backend_tensor_set(tensor, numbers.data(), 0, 4 * numbers.size());
  EXPECT_THAT(told(0), ElementsAre(Type::set, Type::set, Type::set));
  const auto memory = workers_[0].memory(remote_buffer(buffer)->number);
  EXPECT_EQ(memory, std::string_view(reinterpret_cast<const char*>(numbers.data()), 4 * numbers.size()));
  ggml_backend_buffer_free(buffer);
}

TEST_F(DeviceTest, RowsOfATensorTravelTogether) {
  told(0);
  auto* const tensor = tensor_at(0, 0);
  ggml_backend_tensor_set_2d(tensor, kNumbers.data(), 0, 4, 2, 8, 4);
  EXPECT_THAT(told(0), ElementsAre(Type::set_rows));
  const auto payloads = workers_[0].payloads(Type::set_rows);
  const auto rows = read_message<SetRows>(payloads.at(0));
  EXPECT_EQ(rows->row_bytes, 4U);
  EXPECT_EQ(rows->stride, 8U);
  EXPECT_EQ(rows->data, std::string_view(reinterpret_cast<const char*>(kNumbers.data()), 8));
  std::array<float, 2> back{9, 9};
  ggml_backend_tensor_get_2d(tensor, back.data(), 0, 4, 2, 8, 4);
  EXPECT_THAT(told(0), ElementsAre(Type::get, Type::get));
}

TEST_F(DeviceTest, SynchronizingCostsNoRoundTrip) {
  told(0);
  ggml_backend_tensor_set(tensor_at(0, 0), kNumbers.data(), 0, 16);
  for (int i = 0; i < 5; ++i) ggml_backend_synchronize(backends_[0]);
  EXPECT_THAT(told(0), ElementsAre(Type::set));
}

TEST_F(DeviceTest, ACopyToTheNextStageIsHandedOver) {
  told(0);
  told(1);
  auto* const from = tensor_at(0, 0);
  auto* const to = tensor_at(1, 64);
  ggml_backend_tensor_copy_async(backends_[0], backends_[1], from, to);
  EXPECT_THAT(told(0), ElementsAre(Type::send));
  EXPECT_THAT(told(1), ElementsAre(Type::receive));
  const auto sends = workers_[0].payloads(Type::send);
  const auto receives = workers_[1].payloads(Type::receive);
  const auto send = read_message<Send>(sends.at(0));
  const auto receive = read_message<Receive>(receives.at(0));
  EXPECT_EQ(send->tag, receive->tag);
  EXPECT_EQ(send->stage, 1U);
  EXPECT_EQ(receive->stage, 0U);
  EXPECT_EQ(send->region, (Region{0, 0, 16}));
  EXPECT_EQ(receive->region, (Region{0, 64, 16}));
}

/// Hidden states travel in the plan's format, everything else as it is.
class PackedDeviceTest : public DeviceTest {
 protected:
  void SetUp() override {
    wire_ = Format::q8_0;
    DeviceTest::SetUp();
  }
  Format format_of_hand_off(ggml_tensor* from, ggml_tensor* to) {
    ggml_backend_tensor_copy_async(backends_[0], backends_[1], from, to);
    told(0);
    const auto sends = workers_[0].payloads(Type::send);
    return read_message<Send>(sends.back())->format;
  }
};

TEST_F(PackedDeviceTest, OnlyHiddenStatesArePacked) {
  const auto result = [this](std::size_t stage, ggml_type type, std::int64_t size) {
    auto* const tensor = ggml_new_tensor_1d(context_.get(), type, size);
    tensor->op = GGML_OP_ADD;
    ggml_backend_tensor_alloc(buffers_.at(stage), tensor, ggml_backend_buffer_get_base(buffers_.at(stage)));
    return tensor;
  };
  EXPECT_EQ(format_of_hand_off(result(0, GGML_TYPE_F32, 64), result(1, GGML_TYPE_F32, 64)), Format::q8_0);
  EXPECT_EQ(format_of_hand_off(result(0, GGML_TYPE_F32, 33), result(1, GGML_TYPE_F32, 33)), Format::as_is)
      << "no whole blocks";
  EXPECT_EQ(format_of_hand_off(result(0, GGML_TYPE_I32, 64), result(1, GGML_TYPE_I32, 64)), Format::as_is);
  auto* const kept = result(0, GGML_TYPE_F32, 64);
  kept->op = GGML_OP_NONE;
  EXPECT_EQ(format_of_hand_off(kept, result(1, GGML_TYPE_F32, 64)), Format::as_is) << "memory";
}

TEST_F(DeviceTest, OtherCopiesFindAWay) {
  told(0);
  told(1);
  auto* const one = tensor_at(0, 0);
  ggml_backend_tensor_copy_async(backends_[0], backends_[0], one, tensor_at(0, 64));
  EXPECT_THAT(told(0), ElementsAre(Type::copy));
  auto* const two = tensor_at(1, 64);
  ggml_backend_tensor_copy_async(backends_[1], backends_[0], two, one);  // backwards: through the master
  EXPECT_THAT(told(1), ElementsAre(Type::get));
  EXPECT_THAT(told(0), ElementsAre(Type::set));
}

TEST_F(DeviceTest, NothingIsSaidForAnEmptyCopy) {
  told(0);
  told(1);
  auto* const from = tensor_at(0, 0);
  auto* const to = tensor_at(1, 64);
  for (auto* tensor : {from, to}) tensor->ne[1] = 0;
  EXPECT_TRUE(backends_[1]->iface.cpy_tensor_async(backends_[0], backends_[1], from, to));
  EXPECT_THAT(told(0), IsEmpty());
  EXPECT_THAT(told(1), IsEmpty());
}

TEST_F(DeviceTest, AGraphTravelsOnceAndThenAsANumberOrADifference) {
  told(0);
  auto* const a = tensor_at(0, 0);
  auto* const b = tensor_at(0, 64);
  auto* const graph = graph_of(sum_at(128, a, b, "sum"), 5);
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  EXPECT_THAT(told(0), ElementsAre(Type::graph, Type::run));
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  EXPECT_THAT(told(0), ElementsAre(Type::run));
  auto* const next = graph_of(sum_at(192, a, b, "sum"), 6);
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], next), GGML_STATUS_SUCCESS);
  EXPECT_THAT(told(0), ElementsAre(Type::graph, Type::run));
  const auto sent = workers_[0].payloads(Type::graph);
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_LT(sent[1].size(), sent[0].size() / 2);
  const auto whole = read_graph(sent[0], nullptr);
  ASSERT_TRUE(whole);
  const auto changed = read_graph(sent[1], &whole.value());
  ASSERT_TRUE(changed);
  ASSERT_EQ(whole->node_count, 1U);
  ASSERT_EQ(whole->tensors.size(), 3U);
  EXPECT_EQ(whole->tensors[0].op, GGML_OP_ADD);
  EXPECT_EQ(whole->tensors[0].offset, 128U);
  EXPECT_EQ(whole->tensors[0].sources[1], 2U);
  EXPECT_EQ(whole->tensors[2].offset, 64U);
  EXPECT_EQ(changed->tensors[0].offset, 192U);
}

TEST_F(DeviceTest, WhatAStageIsToldForAGraphIsWrittenWithTheLastStagesPart) {
  auto* const first = graph_of(sum_at(128, tensor_at(0, 0), tensor_at(0, 64), "sum"), 5);
  told(0);
  const auto before = workers_[0].heard().size();
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], first), GGML_STATUS_SUCCESS);
  EXPECT_EQ(workers_[0].heard().size(), before);
  auto* const last = graph_of(tensor_at(1, 64), 0);
  EXPECT_EQ(ggml_backend_graph_compute(backends_[1], last), GGML_STATUS_SUCCESS);
  EXPECT_TRUE(workers_[0].wait_for(Type::run, 1));
}

TEST_F(DeviceTest, GraphsOfAFreedBufferAreForgotten) {
  auto* const graph = graph_of(sum_at(128, tensor_at(0, 0), tensor_at(0, 64), "sum"), 5);
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  EXPECT_EQ(devices_[0]->graphs.size(), 1U);
  ggml_backend_buffer_free(buffers_[0]);
  EXPECT_EQ(devices_[0]->graphs.size(), 0U);
  buffers_[0] = ggml_backend_buft_alloc_buffer(&devices_[0]->buffers, 64);
  EXPECT_THAT(told(0), testing::Contains(Type::free));
}

TEST_F(DeviceTest, AGraphWithATensorThatIsElsewhereFails) {
  auto* const graph = graph_of(sum_at(128, tensor_at(0, 0), tensor_at(1, 64), "sum"), 5);
  testing::internal::CaptureStderr();
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_FAILED);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("'x' is not in the memory of Caravan0"));
}

TEST_F(DeviceTest, ViewsOfWhatIsElsewhereAreLeftOut) {
  told(0);
  auto* const view = ggml_view_1d(context_.get(), tensor_at(1, 64), 2, 4);
  ASSERT_EQ(ggml_backend_view_init(view), GGML_STATUS_SUCCESS);
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph_of(view, 4)), GGML_STATUS_SUCCESS);
  EXPECT_THAT(told(0), IsEmpty()) << "there is nothing to compute";
  auto* const graph = graph_of(view, 5);
  ggml_build_forward_expand(graph, sum_at(128, tensor_at(0, 0), tensor_at(0, 64), "sum"));
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  EXPECT_THAT(told(0), ElementsAre(Type::graph, Type::run));
  const auto sent = workers_[0].payloads(Type::graph);
  const auto read = read_graph(sent.at(0), nullptr);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->node_count, 1U);
  EXPECT_EQ(read->tensors[0].op, GGML_OP_ADD);
}

TEST_F(DeviceTest, WhatStaysInMemoryIsNotReadAhead) {
  auto* const cache = tensor_at(0, 0);
  auto* const part = ggml_view_1d(context_.get(), cache, 2, 0);
  ggml_set_name(part, "cache");
  ASSERT_EQ(ggml_backend_view_init(part), GGML_STATUS_SUCCESS);
  auto* const stored = ggml_cpy(context_.get(), tensor_at(0, 64), cache);
  ggml_set_name(stored, "cache");
  ASSERT_EQ(ggml_backend_view_init(stored), GGML_STATUS_SUCCESS);
  auto* const graph = graph_of(stored, 6);
  std::array<float, 2> back{};
  for (int i = 0; i < 2; ++i) {
    told(0);
    EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
    EXPECT_EQ(told(0).back(), Type::run);
    ggml_backend_tensor_get(part, back.data(), 0, 8);
    EXPECT_THAT(told(0), ElementsAre(Type::get)) << "once for each time that it is read";
  }
}

TEST_F(DeviceTest, WhatIsNotComputedIsNotReadAhead) {
  auto* const sum = sum_at(128, tensor_at(0, 0), tensor_at(0, 64), "result");
  auto* const graph = graph_of(sum, 7);
  std::array<float, 4> back{};
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  ggml_backend_tensor_get(sum, back.data(), 0, 16);
  sum->flags &= ~GGML_TENSOR_FLAG_COMPUTE;  // as sampling behind a part of a prompt that has no logits
  told(0);
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  EXPECT_THAT(told(0), ElementsAre(Type::run)) << "nobody waits for it: the next part goes on meanwhile";
  sum->flags |= GGML_TENSOR_FLAG_COMPUTE;
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  EXPECT_THAT(told(0), ElementsAre(Type::run, Type::get));
}

TEST_F(DeviceTest, WhatWasReadOnceIsReadAheadAndItsLossFailsTheGraph) {
  auto* const sum = sum_at(128, tensor_at(0, 0), tensor_at(0, 64), "result");
  auto* const graph = graph_of(sum, 5);
  std::array<float, 4> back{};
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  ggml_backend_tensor_get(sum, back.data(), 0, 16);
  told(0);
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  EXPECT_THAT(told(0), ElementsAre(Type::run, Type::get));
  ggml_backend_tensor_get(sum, back.data(), 0, 16);
  EXPECT_THAT(told(0), IsEmpty());
  ggml_backend_tensor_set(sum, kNumbers.data(), 0, 16);
  ggml_backend_tensor_get(sum, back.data(), 0, 16);
  EXPECT_EQ(back, kNumbers) << "what was read ahead was old";
  told(0);
  std::array<float, 6> rows{};
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_SUCCESS);
  EXPECT_THAT(told(0), ElementsAre(Type::run, Type::get));
  ggml_backend_tensor_get_2d(sum, rows.data(), 0, 8, 2, 8, 12);
  EXPECT_THAT(rows, ElementsAre(1, 2, 0, 3, 4, 0));
  EXPECT_THAT(told(0), IsEmpty()) << "rows of it too";
  testing::internal::CaptureStderr();
  workers_[0].answer(Type::get, [](std::string_view) {
    std::string out;
    append_message(out, to_message({Code::exhausted, "no memory", ""}, 0, 0));
    return out;
  });
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_FAILED);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("caravan: stage 0 (one) failed: no memory"));
}

TEST_F(DeviceTest, AfterAFailureEverythingFailsQuicklyAndNothingAborts) {
  auto* const tensor = tensor_at(0, 0);
  testing::internal::CaptureStderr();
  streams_->fail(1, "lost");
  testing::internal::GetCapturedStderr();
  std::array<float, 4> back{9, 9, 9, 9};
  ggml_backend_tensor_get(tensor, back.data(), 0, 16);
  EXPECT_THAT(back, ElementsAre(0, 0, 0, 0));
  ggml_backend_tensor_set(tensor, kNumbers.data(), 0, 16);
  ggml_backend_synchronize(backends_[0]);
  EXPECT_EQ(ggml_backend_buft_alloc_buffer(&devices_[0]->buffers, 64), nullptr);
  auto* const graph = graph_of(sum_at(128, tensor, tensor_at(0, 64), "sum"), 5);
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_FAILED);
}

TEST_F(DeviceTest, TheHeadStaysOnTheMaster) {
  const auto product_with = [&](const char* name) {
    auto* const weight = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, 4, 8);
    ggml_set_name(weight, name);
    auto* const input = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, 4, 1);
    return ggml_mul_mat(context_.get(), weight, input);
  };
  auto* const device = &devices_[1]->device;
  EXPECT_TRUE(ggml_backend_dev_supports_op(device, product_with("blk.0.attn_q.weight")));
  EXPECT_FALSE(ggml_backend_dev_supports_op(device, product_with("output.weight")));
  EXPECT_FALSE(ggml_backend_dev_supports_op(device, product_with("token_embd.weight")));
}

TEST_F(DeviceTest, WholeWeightsOfProductsMayBeLaidOutAnew) {
  auto* const device = &devices_[0]->device;
  const auto ask = [&](const char* name, bool matrix) {
    auto* const weight = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, 4, 1);
    ggml_set_name(weight, name);
    auto* const other = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, 4, 1);
    auto* const op =
        matrix ? ggml_mul_mat(context_.get(), weight, other) : ggml_mul(context_.get(), other, weight);
    auto* const without_memory = ggml_backend_buft_alloc_buffer(&devices_[0]->buffers, 0);
    weight->buffer = without_memory;
    EXPECT_TRUE(ggml_backend_dev_supports_op(device, op));
    ggml_backend_buffer_free(without_memory);
  };
  ask("matrix", true);
  ask("norm", false);
  ask("both", true);
  ask("both", false);
  ggml_backend_buffer_set_usage(buffers_[0], GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  told(0);
  for (const auto* name : {"norm", "both", "unknown"})
    ggml_backend_tensor_set(tensor_at(0, 0, name), kNumbers.data(), 0, 16);
  EXPECT_THAT(told(0), ElementsAre(Type::set, Type::set, Type::set));
  ggml_backend_tensor_set(tensor_at(0, 0, "matrix"), kNumbers.data(), 0, 16);
  EXPECT_THAT(told(0), ElementsAre(Type::layout, Type::set));
  ggml_backend_tensor_set(tensor_at(0, 0, "matrix"), kNumbers.data(), 0, 8);
  EXPECT_THAT(told(0), ElementsAre(Type::set)) << "a part of it";
  const std::array<float, 6> gaps{1, 2, 0, 3, 4, 0};
  ggml_backend_tensor_set_2d(tensor_at(0, 0, "matrix"), gaps.data(), 0, 8, 2, 8, 12);
  EXPECT_THAT(told(0), ElementsAre(Type::layout, Type::set)) << "its share of one that is split by columns";
  std::array<float, 4> back{};
  ggml_backend_tensor_get(tensor_at(0, 0), back.data(), 0, 16);
  EXPECT_EQ(back, kNumbers);
}

}  // namespace
}  // namespace caravan::fabric
