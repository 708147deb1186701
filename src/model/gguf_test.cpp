#include "model/gguf.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include <gmock/gmock.h>

#include "model/gguf_builder.h"
#include "model/gguf_keys.h"

namespace caravan::model {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<ModelFacts> read(const GgufBuilder& builder) {
  const std::string bytes = builder.bytes();
  return read_model_facts(source_of(bytes));
}

Error error_of(const std::string& bytes) {
  const auto facts = read_model_facts(source_of(bytes));
  return facts ? Error{Code::bug, "no error", ""} : facts.error();
}

Error error_of(const GgufBuilder& builder) { return error_of(builder.bytes()); }

TEST(Gguf, WeighsEachPart) {
  const auto facts = read(small_llama());
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_EQ(facts->name, "Small");
  EXPECT_EQ(facts->architecture, "llama");
  EXPECT_THAT(facts->layers, ElementsAre(Bytes{256 + 32}, Bytes{256 + 1024}));
  EXPECT_EQ(facts->embedding, Bytes{512});
  EXPECT_TRUE(facts->tied_head);
  EXPECT_EQ(facts->head, Bytes{512});
  EXPECT_EQ(facts->other, Bytes{32});
  EXPECT_EQ(facts->weights(), Bytes{512 + 32 + 288 + 1280}) << "the tied head counts once";
  EXPECT_EQ(facts->context_length, 2048U);
  EXPECT_EQ(facts->embedding_length, 8U);
  EXPECT_EQ(facts->vocabulary, 16U);
  EXPECT_EQ(facts->quantization, "F32");
  EXPECT_EQ(facts->file_size.count, small_llama().bytes().size());
}

TEST(Gguf, AHeadOfItsOwnCounts) {
  const auto facts = read(small_llama().tensor("output.weight", {8, 16}));
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_FALSE(facts->tied_head);
  EXPECT_EQ(facts->weights(), Bytes{512 + 512 + 32 + 288 + 1280});
}

TEST(Gguf, KvCacheOfATokenFromHeadsAndWidth) {
  const auto facts = read(small_llama());
  ASSERT_TRUE(facts.ok());
  // 2 heads, keys and values 8 / 4 = 2 wide each, 2 bytes a value
  EXPECT_THAT(facts->kv_per_token, ElementsAre(Bytes{16}, Bytes{16}));
  EXPECT_EQ(facts->kv_per_token_of_all_layers(), Bytes{32});
}

TEST(Gguf, KvCacheWithItsOwnLengthsAndAHeadCountForEachLayer) {
  GgufBuilder builder;
  builder.text("general.architecture", "deci")
      .number("deci.block_count", 3)
      .tensor("token_embd.weight", {8, 4});
  builder.list<std::int32_t>("deci.attention.head_count", GGUF_TYPE_INT32, {8, 8, 0});
  builder.list<std::int32_t>("deci.attention.head_count_kv", GGUF_TYPE_INT32, {4, 1, 0});
  builder.number("deci.attention.key_length", 192).number("deci.attention.value_length", 128);
  const auto facts = read(builder);
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_THAT(facts->kv_per_token, ElementsAre(Bytes{2560}, Bytes{640}, Bytes{0}));
  EXPECT_EQ(facts->layers.size(), 3U) << "layers without weights exist";
}

TEST(Gguf, NoKvCacheIsKnownForOddNumbers) {
  EXPECT_THAT(read(small_llama().number("llama.attention.key_length", 0xFFFFFFFF))->kv_per_token, IsEmpty());
  EXPECT_THAT(read(small_llama().text("llama.attention.key_length", "x"))->kv_per_token, Each(Bytes{16}));
  GgufBuilder negative;
  negative.text("general.architecture", "x").number("x.block_count", 1).tensor("token_embd.weight", {8, 4});
  negative.list<std::int32_t>("x.attention.head_count", GGUF_TYPE_INT32, {-4});
  EXPECT_THAT(read(negative)->kv_per_token, IsEmpty());
}

TEST(Gguf, QuantizationAsTheFileSaysElseByMostTensors) {
  EXPECT_EQ(read(small_llama().number("general.file_type", 15))->quantization, "Q4_K_M");
  EXPECT_EQ(read(small_llama().number("general.file_type", 4711))->quantization, "F32");
  EXPECT_EQ(read(small_llama().text("general.file_type", "Q9"))->quantization, "F32");
  EXPECT_EQ(name_of_file_type(18), "Q6_K");
  EXPECT_EQ(name_of_file_type(30), "IQ4_XS");
  EXPECT_EQ(name_of_file_type(32), "BF16");
  EXPECT_EQ(name_of_file_type(36), "TQ1_0");
}

TEST(Gguf, ForeignFilesAreNamed) {
  EXPECT_THAT(error_of("<!DOCTYPE html><html>").message,
              HasSubstr("x.gguf is not a GGUF model but a web page"));
  EXPECT_THAT(error_of(std::string("PK\x03\x04", 4)).message, HasSubstr("zip archive"));
  EXPECT_THAT(error_of(std::string("\x40\0\0\0\0\0\0\0{\"__metadata__\"", 23)).message,
              HasSubstr("safetensors"));
  EXPECT_THAT(error_of("version https://git-lfs.github.com/spec/v1\noid").message,
              HasSubstr("Git LFS pointer"));
  EXPECT_THAT(error_of("").message, HasSubstr("an empty file"));
  EXPECT_THAT(error_of(std::string(64, '\0')).message, HasSubstr("zeros"));
  EXPECT_THAT(error_of("tjgg....").message, HasSubstr("before GGUF"));
  EXPECT_THAT(error_of("\x7f"
                       "ELF")
                  .message,
              HasSubstr("a program"));
  EXPECT_THAT(error_of("hello").message, HasSubstr("something else"));
  EXPECT_EQ(error_of("hello").code, Code::incompatible);
  EXPECT_FALSE(error_of("hello").hint.empty());
}

TEST(Gguf, TruncatedSaysHowMuchIsThere) {
  const std::string whole = small_llama().bytes();
  const std::string part = whole.substr(0, whole.size() - 1000);
  EXPECT_EQ(error_of(part).message, "x.gguf is truncated: " + format_bytes(Bytes{part.size()}) + " of " +
                                        format_bytes(Bytes{whole.size()}));
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::string whole = small_llama().bytes();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string part = whole.substr(0, length);
    EXPECT_FALSE(read_model_facts(source_of(part)).ok()) << length;
  }
}

TEST(Gguf, AHeaderThatEndsEarlyIsNotCalledAnythingElse) {
  const std::string part = small_llama().bytes().substr(0, 100);
  EXPECT_EQ(error_of(part).message, "x.gguf is corrupt: it ends inside its header, at 100 B");
}

TEST(Gguf, HostileCountsAreRefusedBeforeTheyCostAnything) {
  EXPECT_THAT(error_of(small_llama().claim(6, 1ULL << 60U)).message, HasSubstr("claims to have"));
  EXPECT_THAT(error_of(small_llama().claim(1ULL << 60U, 7)).message, HasSubstr("claims to have"));
}

TEST(Gguf, HostileLengthsInASparseFileAreRefusedBeforeTheyCostAnything) {
  // One array of 2^30 empty strings: 8 GiB of zeros that cost nothing on the disk, but 64 GiB in memory
  GgufBuilder builder;
  builder.text("general.architecture", "llama").list<std::uint8_t>("tokens", GGUF_TYPE_STRING, {});
  std::string head = builder.bytes();
  const std::uint64_t count = 1ULL << 30U;
  std::memcpy(head.data() + head.size() - sizeof count, &count, sizeof count);
  ByteSource source = source_of(head);
  source.size = Bytes{16ULL << 30U};
  const auto facts = read_model_facts(source);
  ASSERT_FALSE(facts.ok());
  EXPECT_EQ(facts.error().code, Code::incompatible);
}

TEST(Gguf, SizesThatOverflowAreRefused) {
  const std::uint64_t big = 1ULL << 32U;
  EXPECT_EQ(error_of(small_llama().tensor("blk.1.big", {big, big})).code, Code::incompatible);
  EXPECT_EQ(error_of(small_llama().tensor("blk.1.big", {big, big, big, big})).code, Code::incompatible);
  EXPECT_EQ(error_of(small_llama().tensor("blk.1.big", {1ULL << 62U, 2})).code, Code::incompatible);
}

TEST(Gguf, WrongTypesOfKeysAreErrorsAndNotAborts) {
  GgufBuilder no_architecture;
  no_architecture.number("general.architecture", 1).tensor("token_embd.weight", {8, 4});
  EXPECT_THAT(error_of(no_architecture).message, HasSubstr("general.architecture"));
  GgufBuilder text_count;
  text_count.text("general.architecture", "llama")
      .text("llama.block_count", "2")
      .tensor("token_embd.weight", {8, 4});
  EXPECT_THAT(error_of(text_count).message, HasSubstr("llama.block_count"));
  GgufBuilder list_count;
  list_count.text("general.architecture", "llama").tensor("token_embd.weight", {8, 4});
  list_count.list<std::uint32_t>("llama.block_count", GGUF_TYPE_UINT32, {2});
  EXPECT_THAT(error_of(list_count).message, HasSubstr("llama.block_count"));
  EXPECT_THAT(
      error_of(small_llama().list<std::uint32_t>("general.alignment", GGUF_TYPE_UINT32, {32})).message,
      HasSubstr("general.alignment"));
}

TEST(Gguf, LayersMustBeThoseThatTheFileSays) {
  EXPECT_EQ(error_of(small_llama().tensor("blk.2.attn_q.weight", {8})).message,
            "x.gguf is corrupt: it has a layer 2, but says that it has 2");
  EXPECT_EQ(error_of(small_llama().tensor("blk.99999999999999999999.x", {8})).code, Code::bug)
      << "belongs to no layer";
}

TEST(Gguf, OtherPartsAreRefusedWithTheCure) {
  EXPECT_TRUE(read(small_llama().number_as<std::uint16_t>("split.count", GGUF_TYPE_UINT16, 1)).ok());
  EXPECT_THAT(error_of(GgufBuilder().text("general.architecture", "clip")).message,
              HasSubstr("no language model"));
  EXPECT_THAT(
      error_of(GgufBuilder().text("general.architecture", "llama").number("llama.block_count", 2)).message,
      HasSubstr("no weights"));
}

TEST(Gguf, WhatComesFromTheFileIsPrintable) {
  GgufBuilder builder;
  builder.text("general.architecture", "llama")
      .text("general.name", "\x1b[2Jred")
      .number("llama.block_count", 1);
  EXPECT_EQ(read(builder.tensor("token_embd.weight", {8, 4}))->name, "?[2Jred");
}

TEST(Gguf, FromAFile) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const fs::path path = folder->path() / "unnamed.gguf";
  GgufBuilder builder;
  builder.text("general.architecture", "llama")
      .number("llama.block_count", 1)
      .tensor("token_embd.weight", {8, 4});
  std::ofstream(path, std::ios::binary) << builder.bytes();
  const auto facts = read_model_facts(path);
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_EQ(facts->name, "unnamed");
  EXPECT_EQ(read_model_facts(folder->path() / "none.gguf").error().code, Code::not_found);
  EXPECT_THAT(read_model_facts(folder->path()).error().message, HasSubstr("is a folder"));
  const fs::path pipe = folder->path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(read_model_facts(pipe).error().message, HasSubstr("not a regular file"));
}

TEST(Gguf, SeveralThreadsAtOnceGetTheirOwnErrors) {
  const std::string good = small_llama().bytes();
  const std::string bad = small_llama().number("llama.block_count", 2).bytes();  // a key twice
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 50; ++round) {
        if (i % 2 == 0) {
          EXPECT_TRUE(read_model_facts(source_of(good)).ok());
        } else {
          EXPECT_THAT(error_of(bad).message, HasSubstr("duplicate key 'llama.block_count'"));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Gguf, LayerNumbersInTensorNames) {
  EXPECT_EQ(layer_of_tensor("blk.12.attn_q.weight"), 12U);
  EXPECT_EQ(layer_of_tensor("blk.12"), std::nullopt);
  EXPECT_EQ(layer_of_tensor("blk..x"), std::nullopt);
  EXPECT_EQ(layer_of_tensor("blk.-1.x"), std::nullopt);
  EXPECT_EQ(layer_of_tensor("enc.blk.1.x"), std::nullopt);
  EXPECT_EQ(layer_of_tensor(""), std::nullopt);
}

}  // namespace
}  // namespace caravan::model
