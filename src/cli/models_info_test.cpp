#include "cli/models_info.h"

#include <gmock/gmock.h>

namespace caravan::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

model::ModelFacts some_facts() {
  model::ModelFacts facts;
  facts.name = "Some \x1b[2Jmodel";
  facts.architecture = "gemma3";
  facts.quantization = "Q4_K_M";
  facts.layers.assign(4, mebibytes(10));
  facts.embedding = facts.head = mebibytes(20);
  facts.tied_head = true;
  facts.head_type = "q6_K";
  facts.embedding_length = 640;
  facts.vocabulary = 32000;
  facts.context_length = 8192;
  facts.parameters = 100'000'000;
  facts.file_size = mebibytes(61);
  facts.types = {{"q4_K", 20, 60'000'000, mebibytes(40)}, {"q6_K", 1, 40'000'000, mebibytes(20)}};
  model::LayerFacts layer;
  layer.heads = 4;
  layer.key_width = layer.value_width = 256;
  layer.key_length = 256;
  layer.window = 512;
  facts.layer_facts.assign(4, layer);
  facts.layer_facts[3].window = 0;
  return facts;
}

model::MemoryQuestion question(const InfoOptions& options = {}) {
  auto asked = question_of(options, some_facts());
  EXPECT_TRUE(asked.ok());
  return asked ? *asked : model::MemoryQuestion{};
}

TEST(ModelsInfo, OneScreen) {
  const std::string text = info_text(some_facts(), question(), "/models/x.gguf");
  EXPECT_THAT(text, HasSubstr("Some ?[2Jmodel (/models/x.gguf)"));
  EXPECT_THAT(text, HasSubstr("100 M"));
  EXPECT_THAT(text, HasSubstr("Q4_K_M, 5.03 bits a weight"));
  EXPECT_THAT(text, HasSubstr("q4_K 66.7 % (5.59 bits), q6_K 33.3 % (4.19 bits)"));
  EXPECT_THAT(text, HasSubstr("1 layers over the whole context, 3 layers over the last 512 tokens"));
  EXPECT_THAT(text, HasSubstr("trained for 8k tokens"));
  EXPECT_THAT(text, HasSubstr("4.00 KiB a token as f16"));
  EXPECT_THAT(text, HasSubstr("2k tokens"));
  EXPECT_THAT(text, HasSubstr("8k tokens"));
  EXPECT_THAT(text, Not(HasSubstr("32k tokens"))) << "beyond what it was trained for";
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 24);
}

TEST(ModelsInfo, Json) {
  const Json json = info_json(some_facts(), question({.context = 4096, .kv_type = "q8_0,f16"}), "x");
  EXPECT_EQ(json["weights"], mebibytes(60).count);
  EXPECT_EQ(json["layers"].size(), 4U);
  EXPECT_EQ(json["layers"][0]["window"], 512);
  EXPECT_TRUE(json["layers"][3]["window"].is_null());
  EXPECT_EQ(json["layers"][0]["kv_bytes_per_token"], 256 / 32 * 34 + 256 * 2);
  EXPECT_EQ(json["memory"]["context"], 4096);
  EXPECT_EQ(json["memory"]["key_type"], "q8_0");
  EXPECT_EQ(json["memory"]["total"].get<std::uint64_t>(), json["memory"]["weights"].get<std::uint64_t>() +
                                                              json["memory"]["kv"].get<std::uint64_t>() +
                                                              json["memory"]["compute"].get<std::uint64_t>());
}

TEST(ModelsInfo, PartsOfAModel) {
  const auto part = question({.layers = "1-2", .is_worker = true, .has_head = false});
  EXPECT_EQ(part.first_layer, 1U);
  EXPECT_EQ(part.layer_count, 2U);
  EXPECT_FALSE(part.is_master);
  EXPECT_EQ(memory_need(some_facts(), part).weights, mebibytes(20));
  EXPECT_THAT(info_text(some_facts(), part, "x"), HasSubstr("a device with 2 of 4 layers"));
  EXPECT_EQ(question({.layers = "none"}).layer_count, 0U);
  EXPECT_EQ(question({.layers = "3"}).first_layer, 3U);
}

TEST(ModelsInfo, WrongOptionsAreNamed) {
  for (const char* layers : {"4", "2-1", "a", "1-", "-1", "1-2-3", "99999999999999999999"}) {
    const auto asked = question_of({.layers = layers}, some_facts());
    ASSERT_FALSE(asked.ok()) << layers;
    EXPECT_EQ(asked.error().code, Code::invalid);
    EXPECT_THAT(asked.error().message, HasSubstr("--layers"));
    EXPECT_THAT(asked.error().hint, HasSubstr("0-3"));
  }
  for (const char* type : {"q9", "f16,", ",f16", "f16,f16,f16"}) {
    const auto asked = question_of({.kv_type = type}, some_facts());
    ASSERT_FALSE(asked.ok()) << type;
    EXPECT_THAT(asked.error().message, HasSubstr("--kv-type"));
  }
}

TEST(ModelsInfo, WhatIsNotKnownIsSaid) {
  model::ModelFacts facts = some_facts();
  facts.layer_facts.clear();
  facts.context_length = 0;
  const std::string text = info_text(facts, question(), "x");
  EXPECT_THAT(text, HasSubstr("unknown"));
  EXPECT_EQ(info_json(facts, question(), "x")["layers"][0].count("window"), 0U);
}

}  // namespace
}  // namespace caravan::cli
