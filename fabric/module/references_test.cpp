#include "fabric/module/references.h"

#include <sys/mman.h>

#include <gmock/gmock.h>

#include "fabric/module/device_testing.h"
#include "fabric/store/store_testing.h"

namespace caravan::fabric {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Two weights of 4 KiB in a model's file, and the means to refer to them.
class ReferencesTest : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    write_model(model_, {{"a", GGML_TYPE_F32, {1024}, 1}, {"b", GGML_TYPE_Q8_0, {1024}, 2}});
    auto contents = Contents::open(model_, folder_.path() / "manifests");
    ASSERT_TRUE(contents) << contents.error().message;
    references_ = std::make_unique<References>(*streams_, std::move(*contents));
    for (std::size_t i = 0; i < 2; ++i) {
      devices_[i]->references = references_.get();
      weights_.push_back(ggml_backend_buft_alloc_buffer(&devices_[i]->buffers, 16384));
      ggml_backend_buffer_set_usage(weights_[i], GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    }
    told(0);
    told(1);
  }
  void TearDown() override {
    for (auto* buffer : weights_) ggml_backend_buffer_free(buffer);
    DeviceTest::TearDown();
  }

  /// Sets a weight at `offset` of a stage's memory.
  ggml_tensor* set(std::size_t stage, std::size_t offset, const char* name, ggml_type type,
                   const std::string& bytes) {
    auto* const tensor = ggml_new_tensor_1d(context_.get(), type, 1024);
    ggml_set_name(tensor, name);
    auto* const base = static_cast<char*>(ggml_backend_buffer_get_base(weights_[stage]));
    ggml_backend_tensor_alloc(weights_[stage], tensor, base + offset);
    ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
    return tensor;
  }

  /// The worker misses these of what it is told.
  void misses(std::size_t stage, std::vector<MissingWeight> weights) {
    workers_.at(stage).answer(Type::weights_end, [weights](std::string_view payload) {
      std::string out;
      append_message(out, Missing{read_message<WeightsEnd>(payload)->request, weights});
      return out;
    });
  }

  const TemporaryFolder folder_ = TemporaryFolder::make("references").value();
  const fs::path model_ = folder_.path() / "m.gguf";
  const std::string a_ = content_of(4096, 1);
  const std::string b_ = content_of(1088, 2);
  std::unique_ptr<References> references_;
  std::vector<ggml_backend_buffer_t> weights_;
};

TEST_F(ReferencesTest, WhatAWorkerHasIsNotSent) {
  misses(0, {});
  set(0, 0, "a", GGML_TYPE_F32, a_);
  set(0, 8192, "b", GGML_TYPE_Q8_0, b_);
  EXPECT_THAT(told(0), ElementsAre(Type::weight, Type::weight));
  const auto b = read_message<Weight>(workers_[0].payloads(Type::weight)[1]);
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(b->number, 1U);
  EXPECT_EQ(b->offset, 8192U);
  EXPECT_EQ(b->content, (Content{digest_of(b_), b_.size()}));
  EXPECT_TRUE(references_->complete());
  EXPECT_THAT(told(0), ElementsAre(Type::weights_end));
  EXPECT_TRUE(references_->complete());
  EXPECT_THAT(told(0), IsEmpty()) << "all is there";
}

TEST_F(ReferencesTest, BytesThatAreNotTheModelsAreSent) {
  std::string other = a_;
  other[7] ^= 1;
  set(0, 0, "a", GGML_TYPE_F32, other);
  set(0, 4096, "unknown", GGML_TYPE_F32, a_);
  EXPECT_THAT(told(0), ElementsAre(Type::set, Type::set));
  EXPECT_EQ(workers_[0].memory(remote_buffer(weights_[0])->number).substr(0, 4096), other);
}

TEST_F(ReferencesTest, WhatIsMissingIsSentBeforeItIsRead) {
  misses(0, {{1, 1000}});
  misses(1, {{0, 0}});
  set(0, 0, "a", GGML_TYPE_F32, a_);
  auto* const b = set(0, 8192, "b", GGML_TYPE_Q8_0, b_);
  set(1, 0, "b", GGML_TYPE_Q8_0, b_);
  std::string back(b_.size(), 'x');
  ggml_backend_tensor_get(b, back.data(), 0, back.size());
  EXPECT_THAT(told(0), ElementsAre(Type::weight, Type::weight, Type::weights_end, Type::stream, Type::get));
  EXPECT_THAT(told(1), ElementsAre(Type::weight, Type::weights_end, Type::stream));
  const auto rest_payload = workers_[0].payloads(Type::stream).front();
  const auto rest = read_message<Stream>(rest_payload);
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(rest->weight, 1U);
  EXPECT_EQ(rest->offset, 1000U);
  EXPECT_EQ(rest->data, b_.substr(1000));
}

TEST_F(ReferencesTest, AShareOfATensorIsCalledByItsOwnHash) {
  misses(0, {{0, 100}});
  const auto size = fs::file_size(model_);
  auto file = open_for_reading(model_);
  ASSERT_TRUE(file.ok());
  void* const map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file->get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  const std::string_view all(static_cast<const char*>(map), size);
  std::string share;
  for (std::size_t i = 0; i < 4; ++i) share += a_.substr(256 + i * 1024, 512);
  auto* const tensor = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, 128, 4);
  ggml_backend_tensor_alloc(weights_[0], tensor, ggml_backend_buffer_get_base(weights_[0]));
  ggml_backend_tensor_set_2d(tensor, all.data() + all.find(a_) + 256, 0, 512, 4, 512, 1024);
  ::munmap(map, size);
  EXPECT_THAT(told(0), ElementsAre(Type::weight));
  EXPECT_EQ(read_message<Weight>(workers_[0].payloads(Type::weight).front())->content,
            (Content{digest_of(share), share.size()}));
  ASSERT_TRUE(references_->complete());
  EXPECT_THAT(told(0), ElementsAre(Type::weights_end, Type::stream));
  const auto payload = workers_[0].payloads(Type::stream).front();
  EXPECT_EQ(read_message<Stream>(payload)->data, share.substr(100));
  ggml_backend_tensor_set_2d(tensor, a_.data() + 256, 0, 512, 4, 512, 1024);
  EXPECT_THAT(told(0), ElementsAre(Type::set)) << "bytes that are in no file could not be sent later";
}

TEST_F(ReferencesTest, ABufferThatIsFreedNeedsNothing) {
  misses(0, {{0, 0}});
  set(0, 0, "a", GGML_TYPE_F32, a_);
  ggml_backend_buffer_free(std::exchange(weights_[0], nullptr));
  EXPECT_TRUE(references_->complete());
  EXPECT_THAT(told(0), ElementsAre(Type::weight, Type::free, Type::weights_end));
}

TEST_F(ReferencesTest, AWorkerThatMissesWhatNobodyNamedHasFailed) {
  misses(0, {{7, 0}});
  set(0, 0, "a", GGML_TYPE_F32, a_);
  testing::internal::CaptureStderr();
  EXPECT_FALSE(references_->complete());
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("caravan: stage 0 (one) failed"));
}

TEST_F(ReferencesTest, AWorkerCannotMissLessThanNothing) {
  misses(0, {{0, 4096}});
  set(0, 0, "a", GGML_TYPE_F32, a_);
  testing::internal::CaptureStderr();
  EXPECT_FALSE(references_->complete());
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("caravan: stage 0 (one) failed"));
}

TEST_F(ReferencesTest, AGraphFailsWhenAFileIsGoneFromWhichItsWeightsWouldCome) {
  misses(0, {{0, 0}});
  set(0, 0, "a", GGML_TYPE_F32, a_);
  fs::resize_file(model_, 10);
  auto* const graph = graph_of(sum_at(128, tensor_at(0, 0), tensor_at(0, 64), "sum"), 5);
  testing::internal::CaptureStderr();
  EXPECT_EQ(ggml_backend_graph_compute(backends_[0], graph), GGML_STATUS_FAILED);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace caravan::fabric
