// The worker's own files as a source, and both sources together.
#include "fabric/store/store_testing.h"
#include "fabric/store/weights.h"

namespace caravan::fabric {
namespace {

using ::testing::HasSubstr;

class SourcesTest : public StoreTest {
 protected:
  void SetUp() override {
    write_model(model(), {{"a", GGML_TYPE_F32, {64, 100}, 1}, {"twin", GGML_TYPE_F32, {100, 64}, 1}});
  }
  fs::path model() const { return folder() / "x.gguf"; }
  std::shared_ptr<LocalSource> source() const {
    auto local = std::make_shared<LocalSource>();
    const auto added = local->add(model(), ManifestCache(folder() / "cache"), {});
    EXPECT_TRUE(added.ok());
    return local;
  }
  void overwrite_a() const {
    const auto manifest = hash_file(model(), {});
    std::fstream(model(), std::ios::in | std::ios::out | std::ios::binary)
        .seekp(static_cast<std::streamoff>(manifest->tensors[0].where.offset) + 5)
        .put('!');
  }

  const std::string a_ = content_of(25'600, 1);
};

TEST_F(SourcesTest, FindsTensorsByContentWhateverTheirName) {
  const auto local = source();
  EXPECT_EQ(local->tensors(), 1U) << "two names for one content";
  EXPECT_TRUE(local->has(digest_of(a_), a_.size()));
  EXPECT_FALSE(local->has(digest_of(a_), a_.size() - 1));
  EXPECT_FALSE(local->has(digest_of("other"), a_.size()));
  EXPECT_EQ(get(*local, a_), a_);
  EXPECT_THAT(get(*local, "other"), HasSubstr("none of this device's models"));
}

TEST_F(SourcesTest, TakesAnotherCopyWhenOneHasChanged) {
  const auto local = source();
  overwrite_a();
  EXPECT_EQ(get(*local, a_), a_) << "the twin is as it was";
  std::string streamed;
  ASSERT_TRUE(local->stream(digest_of(a_), a_.size(), [&](std::uint64_t offset, std::string_view bytes) {
    streamed.resize(offset);
    streamed += bytes;
  }));
  EXPECT_EQ(streamed, a_);
}

TEST_F(SourcesTest, NeverGivesBytesOfAChangedFile) {
  const auto local = source();
  write_model(model(), {{"a", GGML_TYPE_F32, {64, 100}, 3}, {"twin", GGML_TYPE_F32, {100, 64}, 4}});
  EXPECT_TRUE(local->has(digest_of(a_), a_.size())) << "only reading tells";
  EXPECT_THAT(get(*local, a_), HasSubstr("has changed"));
  EXPECT_FALSE(local->has(digest_of(a_), a_.size()));
}

TEST_F(SourcesTest, AFileThatIsGoneOrCutIsMissing) {
  const auto local = source();
  fs::resize_file(model(), 1000);
  EXPECT_THAT(get(*local, a_), HasSubstr("error"));
  const auto again = std::make_shared<LocalSource>();
  EXPECT_FALSE(again->add(model(), ManifestCache(folder() / "cache"), {}).ok());
  SetUp();
  const auto whole = source();
  fs::remove(model());
  EXPECT_THAT(get(*whole, a_), HasSubstr("error"));
}

TEST_F(SourcesTest, BothAreOneSource) {
  Weights weights(source(), open_store());
  const std::string sent = content_of(kLarge, 9);
  EXPECT_FALSE(weights.has(digest_of(sent), kLarge));
  EXPECT_EQ(weights.read(digest_of(sent), std::span<char>()).error().code, Code::not_found);
  auto writer = weights.begin(digest_of(sent), kLarge, {});
  ASSERT_TRUE(writer.append(sent));
  ASSERT_TRUE(writer.finish());
  EXPECT_TRUE(weights.flush().ok());
  for (const std::string& bytes : {sent, a_}) {
    EXPECT_TRUE(weights.has(digest_of(bytes), bytes.size()));
    EXPECT_EQ(get(weights, bytes), bytes);
    std::string streamed;
    ASSERT_TRUE(weights.stream(digest_of(bytes), bytes.size(),
                               [&](std::uint64_t, std::string_view part) { streamed += part; }));
    EXPECT_EQ(streamed, bytes);
  }
  EXPECT_FALSE(weights.store()->has(digest_of(a_), a_.size())) << "is not kept twice";
}

TEST_F(SourcesTest, WithoutAStoreNothingIsKept) {
  Weights weights(nullptr, Error{Code::not_found, "started without a store", ""});
  EXPECT_FALSE(weights.has(digest_of(a_), a_.size()));
  auto writer = weights.begin(digest_of(a_), a_.size(), {});
  ASSERT_TRUE(writer.append(a_));
  ASSERT_TRUE(writer.finish());
  EXPECT_THAT(writer.not_stored()->message, HasSubstr("without a store"));
  EXPECT_EQ(weights.store(), nullptr);
  EXPECT_TRUE(weights.flush().ok());
  EXPECT_EQ(weights.read(digest_of(a_), std::span<char>()).error().code, Code::not_found);
  EXPECT_EQ(weights.stream(digest_of(a_), a_.size(), {}).error().code, Code::not_found);
}

}  // namespace
}  // namespace caravan::fabric
