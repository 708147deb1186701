// For tests of the module's devices: two stages with fake workers.
#pragma once

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include <ggml-impl.h>
#include <gtest/gtest.h>

#include "fabric/module/device.h"
#include "fabric/module/fake_worker.h"

namespace caravan::fabric {

/// Two stages, each with 4 KiB of memory, and tensors in it.
class DeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    Plan plan;
    plan.timeout = std::chrono::seconds(10);
    plan.wire = wire_;
    plan.stages = {workers_[0].stage("one"), workers_[1].stage("two")};
    plan.stages[1].peer = "127.0.0.1:9";
    auto opened = Streams::open(plan, kTestEngine);
    ASSERT_TRUE(opened) << opened.error().message;
    streams_ = std::move(opened.value());
    for (std::size_t i = 0; i < 2; ++i) {
      devices_.push_back(std::make_unique<StageDevice>(*streams_, i, nullptr));
      backends_.push_back(ggml_backend_dev_init(&devices_[i]->device, nullptr));
      buffers_.push_back(ggml_backend_buft_alloc_buffer(&devices_[i]->buffers, 4096));
      ASSERT_NE(buffers_[i], nullptr);
    }
    context_.reset(ggml_init({1 << 20, nullptr, true}));
  }
  void TearDown() override {
    for (auto* buffer : buffers_) ggml_backend_buffer_free(buffer);
    for (auto* backend : backends_) ggml_backend_free(backend);
  }

  /// Four numbers at `offset` in a stage's memory.
  ggml_tensor* tensor_at(std::size_t stage, std::size_t offset, const char* name = "x") {
    auto* tensor = ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, 4);
    ggml_set_name(tensor, name);
    ggml_backend_tensor_alloc(buffers_[stage], tensor,
                              static_cast<char*>(ggml_backend_buffer_get_base(buffers_[stage])) + offset);
    return tensor;
  }

  ggml_tensor* sum_at(std::size_t offset, ggml_tensor* a, ggml_tensor* b, const char* name) {
    auto* sum = ggml_add(context_.get(), a, b);
    ggml_set_name(sum, name);
    ggml_backend_tensor_alloc(buffers_[0], sum,
                              static_cast<char*>(ggml_backend_buffer_get_base(buffers_[0])) + offset);
    return sum;
  }

  ggml_cgraph* graph_of(ggml_tensor* result, std::uint64_t uid) {
    auto* graph = ggml_new_graph(context_.get());
    ggml_build_forward_expand(graph, result);
    graph->uid = uid;
    return graph;
  }

  /// What a stage was told since the last call, but for the first greetings.
  std::vector<Type> told(std::size_t stage) {
    EXPECT_TRUE(streams_->settle(stage));
    auto all = workers_.at(stage).heard();
    all.pop_back();  // the PING of settle()
    std::vector<Type> news(all.begin() + static_cast<std::ptrdiff_t>(known_.at(stage)), all.end());
    known_.at(stage) = all.size() + 1;
    return news;
  }

  struct FreeContext {
    void operator()(ggml_context* context) const { ggml_free(context); }
  };
  Format wire_ = Format::as_is;
  std::array<FakeWorker, 2> workers_;
  std::array<std::size_t, 2> known_ = {};
  std::unique_ptr<Streams> streams_;
  std::vector<std::unique_ptr<StageDevice>> devices_;
  std::vector<ggml_backend_t> backends_;
  std::vector<ggml_backend_buffer_t> buffers_;
  std::unique_ptr<ggml_context, FreeContext> context_;
};

}  // namespace caravan::fabric
