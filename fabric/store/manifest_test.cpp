#include "fabric/store/manifest.h"

#include "fabric/store/codec.h"
#include "fabric/store/store_testing.h"

namespace caravan::fabric {
namespace {

using ::testing::HasSubstr;

FileManifest sample(std::string name = "a", GgufSplit split = {}) {
  FileManifest manifest;
  manifest.path = "/models/x.gguf";
  manifest.identity = {100'000, 77, 0x1112131415161718, -5};
  manifest.split = split;
  const auto tensor = [](std::string called, std::uint64_t width, std::uint64_t offset) {
    HashedTensor each;
    each.where = {std::move(called), GGML_TYPE_F32, {width, 2, 1, 1}, offset, width * 8};
    each.hash = digest_of(each.where.name);
    return each;
  };
  manifest.tensors = {tensor(name, 8, 4096), tensor(name + "2", 16, 8192)};
  return manifest;
}

std::string problem_of(const std::string& bytes) {
  const auto manifest = decode_manifest(bytes);
  return manifest ? "none" : manifest.error().message;
}

/// `bytes` with its trailing hash made right again.
std::string signed_again(std::string bytes) {
  bytes.resize(bytes.size() - sizeof(Digest));
  put(bytes, digest_of(bytes));
  return bytes;
}

TEST(Manifest, IsReadBackAsItWasWritten) {
  const FileManifest manifest = sample("token_embd.weight", {3, 1, 200});
  const auto back = decode_manifest(encode(manifest));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, manifest);
}

TEST(Manifest, HasTheDocumentedBytes) {
  FileManifest manifest = sample();
  manifest.tensors.resize(1);
  manifest.tensors[0].hash.fill(0xab);
  const std::string bytes = encode(manifest);
  std::string expected = "CVNHASH\n";
  expected += std::string("\x01\0\0\0\x0e\0\0\0/models/x.gguf", 22);
  expected += std::string("\xa0\x86\x01\0\0\0\0\0\x4d\0\0\0\0\0\0\0", 16);
  expected += std::string("\x18\x17\x16\x15\x14\x13\x12\x11\xfb\xff\xff\xff\xff\xff\xff\xff", 16);
  expected += std::string("\x01\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0", 16);
  expected += std::string("\x01\0a\0\0\0\0", 7);
  expected += std::string("\x08\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0", 32);
  expected += std::string("\0\x10\0\0\0\0\0\0", 8) + std::string(32, '\xab');
  EXPECT_EQ(bytes.substr(0, bytes.size() - 32), expected);
}

TEST(Manifest, EveryChangedByteAndEveryCutIsFound) {
  const std::string bytes = encode(sample());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] ^= 0x10;
    ASSERT_NE(problem_of(changed), "none") << i;
    ASSERT_NE(problem_of(bytes.substr(0, i)), "none") << i;
    ASSERT_NE(problem_of(signed_again(bytes.substr(0, std::max<std::size_t>(i, 40)))), "none") << i;
  }
  EXPECT_NE(problem_of(bytes + "x"), "none");
  EXPECT_THAT(problem_of(signed_again(bytes.substr(0, bytes.size() - 32) + "x" + std::string(32, ' '))),
              HasSubstr("follows its end"));
}

TEST(Manifest, RefusesWhatCannotBeThoughItsHashIsRight) {
  FileManifest outside = sample();
  outside.tensors[0].where.offset = 100'000 - 63;
  EXPECT_THAT(problem_of(encode(outside)), HasSubstr("impossible tensor"));
  outside.tensors[0].where.offset = ~0ULL;
  EXPECT_THAT(problem_of(encode(outside)), HasSubstr("impossible tensor"));
  FileManifest overflow = sample();
  overflow.tensors[0].where.shape = {1ULL << 62U, 1ULL << 62U, 1, 1};
  EXPECT_THAT(problem_of(encode(overflow)), HasSubstr("impossible tensor"));
  FileManifest unknown = sample();
  unknown.tensors[0].where.type = 1U << 31U;
  EXPECT_THAT(problem_of(encode(unknown)), HasSubstr("impossible tensor"));
  FileManifest long_name = sample();
  long_name.tensors[0].where.name = std::string(64, 'n');
  EXPECT_THAT(problem_of(encode(long_name)), HasSubstr("impossible tensor"));
  FileManifest long_path = sample();
  long_path.path = std::string(5000, 'p');
  EXPECT_THAT(problem_of(encode(long_path)), HasSubstr("path"));
  std::string version = encode(sample());
  version[8] = 2;
  EXPECT_THAT(problem_of(signed_again(version)), HasSubstr("version 2"));
  std::string count = encode(sample());
  count.replace(8 + 4 + 4 + 14 + 32 + 12, 4, std::string(4, '\xff'));
  EXPECT_THAT(problem_of(signed_again(count)), HasSubstr("cut off"));
  EXPECT_THAT(problem_of(std::string(5U << 20U, 'x')), HasSubstr("too long"));
}

TEST(Manifest, FindsByNameAndPlace) {
  const auto manifest = Manifest::join({sample()});
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ(manifest->tensors(), 2U);
  EXPECT_EQ(manifest->bytes(), Bytes{64 + 128});
  EXPECT_EQ(manifest->find("a2").tensor->hash, digest_of("a2"));
  EXPECT_EQ(manifest->find("A2").tensor, nullptr);
  EXPECT_EQ(manifest->at(0, 8192), manifest->find("a2").tensor);
  EXPECT_EQ(manifest->at(0, 8193), nullptr);
  EXPECT_EQ(manifest->at(1, 8192), nullptr);
}

TEST(Manifest, JoinsShardsThatBelongTogether) {
  const auto shard = [](std::uint32_t number, const std::string& name, std::uint32_t tensors = 4) {
    return sample(name, {2, number, tensors});
  };
  const auto both = Manifest::join({shard(0, "a"), shard(1, "b")});
  ASSERT_TRUE(both.ok()) << both.error().message;
  EXPECT_EQ(both->find("b2").file, 1U);
  EXPECT_TRUE(Manifest::join({shard(0, "a", 0), shard(1, "b", 0)}).ok());
  EXPECT_THAT(Manifest::join({shard(0, "a")}).error().message, HasSubstr("is part 1 of 2, not 1 of 1"));
  EXPECT_THAT(Manifest::join({shard(1, "a"), shard(0, "b")}).error().message, HasSubstr("is part 2 of 2"));
  EXPECT_THAT(Manifest::join({shard(0, "a"), shard(1, "a")}).error().message, HasSubstr("second tensor"));
  EXPECT_THAT(Manifest::join({shard(0, "a", 5), shard(1, "b", 5)}).error().message,
              HasSubstr("4 tensors instead of 5"));
}

}  // namespace
}  // namespace caravan::fabric
