#include "model/shards.h"

#include <fstream>

#include <gmock/gmock.h>

#include "model/gguf_builder.h"

namespace caravan::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Shards, Names) {
  const auto shard = parse_shard_name("/models/x-00002-of-00003.gguf");
  ASSERT_TRUE(shard);
  EXPECT_EQ(shard->stem, "/models/x");
  EXPECT_EQ(shard->number, 2U);
  EXPECT_EQ(shard->count, 3U);
  EXPECT_THAT(shard_names("a/x-00002-of-00002.gguf"),
              ElementsAre("a/x-00001-of-00002.gguf", "a/x-00002-of-00002.gguf"));
  EXPECT_THAT(shard_names("a/x.gguf"), ElementsAre("a/x.gguf"));
}

TEST(Shards, WhatOnlyLooksLikeAName) {
  for (const char* name :
       {"", ".gguf", "-00001-of-00001.gguf", "x-0001-of-00001.gguf", "x-00000-of-00001.gguf",
        "x-00002-of-00001.gguf", "x-00001-of-99999.gguf", "x-0000a-of-00001.gguf", "x-00001-of-00001.ggu",
        "x-00001_of_00001.gguf", "00001-of-00001.gguf"}) {
    EXPECT_FALSE(parse_shard_name(name)) << name;
  }
}

/// A llama of two layers in two files: the second has only its place and its tensors, as llama-gguf-split
/// writes it.
class ShardFiles : public ::testing::Test {
 protected:
  static GgufBuilder& place(GgufBuilder& builder, std::uint16_t number, std::uint16_t count,
                            std::int32_t tensors = 4) {
    return builder.number_as("split.no", GGUF_TYPE_UINT16, number)
        .number_as("split.count", GGUF_TYPE_UINT16, count)
        .number_as("split.tensors.count", GGUF_TYPE_INT32, tensors);
  }
  static std::string first(std::uint16_t number = 0, std::uint16_t count = 2) {
    GgufBuilder builder;
    builder.text("general.architecture", "llama").number("llama.block_count", 2);
    builder.number("llama.embedding_length", 8).number("llama.attention.head_count", 4);
    place(builder, number, count).tensor("token_embd.weight", {8, 16}).tensor("blk.0.attn_q.weight", {8, 8});
    return builder.bytes();
  }
  static std::string second(std::uint16_t number = 1, std::uint16_t count = 2, std::int32_t tensors = 4) {
    GgufBuilder builder;
    place(builder, number, count, tensors);
    return builder.tensor("blk.1.attn_q.weight", {8, 8}).tensor("output_norm.weight", {8}).bytes();
  }
  fs::path write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_->path() / name, std::ios::binary) << bytes;
    return folder_->path() / name;
  }
  Error error_with(const std::string& a, const std::string& b) {
    const fs::path path = write("x-00001-of-00002.gguf", a);
    write("x-00002-of-00002.gguf", b);
    const auto facts = read_model_facts(path);
    return facts ? Error{Code::bug, "no error", ""} : facts.error();
  }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
};

TEST_F(ShardFiles, AddUpWhicheverIsNamed) {
  const fs::path a = write("x-00001-of-00002.gguf", first());
  const fs::path b = write("x-00002-of-00002.gguf", second());
  for (const fs::path& path : {a, b}) {
    const auto facts = read_model_facts(path);
    ASSERT_TRUE(facts.ok()) << facts.error().message;
    EXPECT_THAT(facts->layers, ElementsAre(Bytes{256}, Bytes{256}));
    EXPECT_EQ(facts->weights(), Bytes{512 + 256 + 256 + 32});
    EXPECT_EQ(facts->parameters, 128U + 64 + 64 + 8);
    EXPECT_EQ(facts->file_size.count, first().size() + second().size());
    EXPECT_EQ(facts->shards, 2U);
  }
}

TEST_F(ShardFiles, AMissingOneIsNamed) {
  const fs::path path = write("x-00001-of-00002.gguf", first());
  const auto facts = read_model_facts(path);
  ASSERT_FALSE(facts.ok());
  EXPECT_EQ(facts.error().code, Code::not_found);
  EXPECT_THAT(facts.error().message, HasSubstr("x-00002-of-00002.gguf is missing: the model has 2 shards"));
}

TEST_F(ShardFiles, ThoseThatDoNotBelongTogetherAreRefused) {
  EXPECT_EQ(error_with(first(), second(0)).message, "x-00002-of-00002.gguf is shard 1 of 2, not 2 of 2");
  EXPECT_EQ(error_with(first(), second(1, 3)).message, "x-00002-of-00002.gguf is shard 2 of 3, not 2 of 2");
  EXPECT_THAT(error_with(first(), second(1, 2, 5)).message, HasSubstr("4 tensors instead of 5"));
  EXPECT_THAT(error_with(first(), small_llama().bytes()).message,
              HasSubstr("is a whole model, not shard 2 of 2"));
  EXPECT_EQ(error_with(first(), second().substr(0, 50)).message,
            "x-00002-of-00002.gguf is corrupt: it ends inside its header, at 50 B");
}

TEST_F(ShardFiles, OneUnderAnotherNameIsRefused) {
  const auto facts = read_model_facts(write("renamed.gguf", first()));
  ASSERT_FALSE(facts.ok());
  EXPECT_EQ(facts.error().message, "renamed.gguf is shard 1 of 2, not 1 of 1");
  EXPECT_THAT(facts.error().hint, HasSubstr("x-00001-of-00003.gguf"));
}

}  // namespace
}  // namespace caravan::model
