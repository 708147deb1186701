#include "fabric/store/manifest_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>

#include "fabric/store/store_testing.h"

namespace caravan::fabric {
namespace {

using ::testing::HasSubstr;

class ManifestCacheTest : public FolderTest {
 protected:
  void SetUp() override {
    write_model(model(), {{"a", GGML_TYPE_F32, {64, 1000}, 1}, {"b", GGML_TYPE_Q8_0, {32}, 2}});
  }
  fs::path model() const { return folder() / "x.gguf"; }
  fs::path cache_folder() const { return folder() / "cache"; }
  ManifestCache cache() const { return ManifestCache(cache_folder()); }
  std::size_t kept() const {
    if (!fs::exists(cache_folder())) return 0;
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(cache_folder()), fs::directory_iterator()));
  }
  static HashingControl settled() {
    HashingControl control;
    control.settled_after = std::chrono::seconds(0);
    return control;
  }
  /// Counts how often something is hashed.
  HashingControl counting() {
    HashingControl control = settled();
    control.on_progress = [this](Bytes, Bytes) { ++hashed_; };
    return control;
  }

  int hashed_ = 0;
};

TEST_F(ManifestCacheTest, HashesTheBytesOfEachTensor) {
  const auto manifest = hash_file(model(), {});
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->path, fs::canonical(model()).string());
  ASSERT_EQ(manifest->tensors.size(), 2U);
  EXPECT_EQ(manifest->tensors[0].hash, digest_of(content_of(256'000, 1)));
  EXPECT_EQ(manifest->tensors[1].hash, digest_of(content_of(34, 2)));
}

TEST_F(ManifestCacheTest, AnyNumberOfThreadsGivesTheSame) {
  std::vector<TestTensor> tensors;
  for (char i = 0; i < 40; ++i) tensors.push_back({"t" + std::to_string(i), GGML_TYPE_F32, {16, 1 + i}, i});
  write_model(model(), tensors);
  HashingControl control;
  std::atomic<std::uint64_t> last{0};
  control.on_progress = [&](Bytes done, Bytes total) {
    EXPECT_GT(done.count, last.exchange(done.count)) << "one call at a time";
    EXPECT_LE(done, total);
  };
  const auto one = hash_file(model(), control);
  EXPECT_EQ(last, std::uint64_t{16 * 4 * 40 * 41 / 2});
  last = 0;
  control.threads = 4;
  const auto four = hash_file(model(), control);
  ASSERT_TRUE(one.ok() && four.ok());
  EXPECT_EQ(*one, *four);
}

TEST_F(ManifestCacheTest, HashesAFileOnce) {
  const auto first = cache().of_file(model(), counting());
  EXPECT_GT(hashed_, 0);
  hashed_ = 0;
  const auto second = cache().of_file(model(), counting());
  EXPECT_EQ(hashed_, 0);
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(kept(), 1U);
  fs::create_symlink(model(), folder() / "link.gguf");
  ASSERT_TRUE(cache().of_file(folder() / "link.gguf", counting()).ok());
  EXPECT_EQ(hashed_, 0) << "the same file";
}

TEST_F(ManifestCacheTest, HashesAChangedFileAgain) {
  ASSERT_TRUE(cache().of_file(model(), settled()).ok());
  struct stat before {};
  ASSERT_EQ(::stat(model().c_str(), &before), 0);
  // same size, same inode, and somebody puts the time back
  std::fstream(model(), std::ios::in | std::ios::out | std::ios::binary).seekp(-2, std::ios::end).put('!');
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, model().c_str(), times, 0), 0);
  EXPECT_FALSE(cache().kept(model()));
  ASSERT_TRUE(cache().of_file(model(), counting()).ok());
  EXPECT_GT(hashed_, 0);
  // replaced by another one
  hashed_ = 0;
  write_model(folder() / "new.gguf", {{"a", GGML_TYPE_F32, {64, 1000}, 5}, {"b", GGML_TYPE_Q8_0, {32}, 2}});
  fs::rename(folder() / "new.gguf", model());
  const auto replaced = cache().of_file(model(), counting());
  EXPECT_EQ(replaced->tensors[0].hash, digest_of(content_of(256'000, 5)));
  EXPECT_GT(hashed_, 0);
}

TEST_F(ManifestCacheTest, DoesNotTrustAFileThatHasJustChanged) {
  HashingControl control;
  control.settled_after = std::chrono::hours(1);
  ASSERT_TRUE(cache().of_file(model(), control).ok());
  EXPECT_EQ(kept(), 0U);
}

TEST_F(ManifestCacheTest, ADamagedManifestIsMadeAgain) {
  const auto first = cache().of_file(model(), settled());
  const fs::path file = fs::directory_iterator(cache_folder())->path();
  std::string bytes = bytes_of(file);
  for (const std::string& bad : {bytes.substr(0, 50), std::string(), std::string(9U << 20U, 'x')}) {
    write_bytes(file, bad);
    hashed_ = 0;
    const auto again = cache().of_file(model(), counting());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, *first);
    EXPECT_GT(hashed_, 0);
    EXPECT_EQ(bytes_of(file), bytes);
  }
}

TEST_F(ManifestCacheTest, AManifestOfAnotherFileIsNotTakenForIt) {
  fs::copy_file(model(), folder() / "y.gguf");
  ASSERT_TRUE(cache().of_file(model(), settled()).ok());
  const fs::path of_x = fs::directory_iterator(cache_folder())->path();
  fs::rename(of_x,
             cache_folder() / (hex(digest_of(fs::canonical(folder() / "y.gguf").string())) + ".manifest"));
  EXPECT_FALSE(cache().kept(folder() / "y.gguf"));
}

TEST_F(ManifestCacheTest, CanBeCancelled) {
  HashingControl control = settled();
  control.threads = 3;
  control.is_cancelled = [] { return true; };
  const auto manifest = cache().of_file(model(), control);
  ASSERT_FALSE(manifest.ok());
  EXPECT_EQ(manifest.error().code, Code::interrupted);
  EXPECT_EQ(kept(), 0U);
}

TEST_F(ManifestCacheTest, AFileThatChangesMeanwhileIsAnError) {
  HashingControl control = settled();
  control.on_progress = [this](Bytes, Bytes) { std::ofstream(model(), std::ios::app) << "more"; };
  const auto manifest = hash_file(model(), control);
  ASSERT_FALSE(manifest.ok());
  EXPECT_EQ(manifest.error().code, Code::unavailable);
  EXPECT_THAT(manifest.error().message, HasSubstr("changed while"));
}

TEST_F(ManifestCacheTest, NamesFilesThatAreNone) {
  EXPECT_EQ(cache().of_file(folder() / "none.gguf", {}).error().code, Code::not_found);
  EXPECT_EQ(cache().of_file(folder(), {}).error().code, Code::invalid);
  write_bytes(model(), "hello");
  EXPECT_EQ(cache().of_file(model(), {}).error().code, Code::incompatible);
  ASSERT_EQ(::mkfifo((folder() / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(cache().of_file(folder() / "pipe", {}).error().code, Code::invalid) << "and does not wait for it";
}

TEST_F(ManifestCacheTest, AFolderThatCannotBeWrittenToIsNoError) {
  write_bytes(folder() / "file", "");
  EXPECT_TRUE(ManifestCache(folder() / "file" / "cache").of_file(model(), settled()).ok());
}

TEST_F(ManifestCacheTest, KeepsNoMoreThanSoMany) {
  fs::create_directories(cache_folder());
  for (int i = 0; i < 600; ++i) write_bytes(cache_folder() / std::to_string(i), "");
  ASSERT_TRUE(cache().of_file(model(), settled()).ok());
  EXPECT_EQ(kept(), 513U);
  EXPECT_TRUE(cache().kept(model()));
}

TEST_F(ManifestCacheTest, AModelMayHaveShards) {
  const auto shard = [this](int i) { return folder() / ("m-0000" + std::to_string(i) + "-of-00002.gguf"); };
  write_model(shard(1), {{"a", GGML_TYPE_F32, {8}, 1}}, {0, 2, 3});
  EXPECT_THAT(cache().of_model(shard(1), settled()).error().message,
              HasSubstr("m-00002-of-00002.gguf is missing"));
  write_model(shard(2), {{"b", GGML_TYPE_F32, {8}, 2}, {"c", GGML_TYPE_F32, {8}, 3}}, {1, 2, 3});
  for (const int any : {1, 2}) {
    const auto model_of_two = cache().of_model(shard(any), settled());
    ASSERT_TRUE(model_of_two.ok()) << model_of_two.error().message;
    EXPECT_EQ(model_of_two->tensors(), 3U);
    EXPECT_EQ(model_of_two->find("c").file, 1U);
    EXPECT_EQ(model_of_two->find("c").tensor->hash, digest_of(content_of(32, 3)));
  }
}

TEST(Shards, AreNamedAsLlamaCppNamesThem) {
  EXPECT_THAT(shards_of("/m/x-00002-of-00003.gguf"),
              ::testing::ElementsAre("/m/x-00001-of-00003.gguf", "/m/x-00002-of-00003.gguf",
                                     "/m/x-00003-of-00003.gguf"));
  for (const char* single :
       {"x.gguf", "x-00004-of-00003.gguf", "x-00000-of-00003.gguf", "x-00001-of-99999.gguf",
        "x-0001-of-00003.gguf", "-00001-of-00001.gguf", "x-+0001-of-00003.gguf"}) {
    EXPECT_THAT(shards_of(single), ::testing::ElementsAre(single));
  }
}

}  // namespace
}  // namespace caravan::fabric
