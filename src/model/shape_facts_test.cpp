#include "model/shape_facts.h"

#include <map>

#include <gmock/gmock.h>

#include "model/catalogue.h"
#include "model/memory_need.h"

namespace caravan::model {
namespace {

constexpr double kMostOff = 0.03;

const std::vector<ModelShape>& shapes() {
  static const std::vector<ModelShape> all = known_shapes().value();
  return all;
}

const ModelShape& shape(std::string_view name) {
  for (const ModelShape& each : shapes()) {
    if (each.name == name) return each;
  }
  throw std::runtime_error("no shape " + std::string(name));
}

ModelFacts facts(std::string_view name, std::string_view quantization) {
  return facts_of_shape(shape(name), *find_quantization(quantization));
}

double off_by(std::string_view name, std::string_view quantization, double bytes) {
  return static_cast<double>(facts(name, quantization).file_size.count) / bytes - 1;
}

/// Parameters as the publishers' safetensors files count them: one wrong number in a shape changes it. Gemma
/// 3 of 4B and more are not here: their files count the part for images too.
TEST(ShapeFacts, ParametersAreExactlyThoseThatWerePublished) {
  const std::map<std::string, std::uint64_t> published{
      {"qwen2.5-0.5b", 494'032'768},
      {"qwen2.5-1.5b", 1'543'714'304},
      {"qwen2.5-3b", 3'085'938'688},
      {"qwen2.5-7b", 7'615'616'512},
      {"qwen2.5-14b", 14'770'033'664},
      {"qwen2.5-32b", 32'763'876'352},
      {"qwen3-0.6b", 596'049'920},
      {"qwen3-1.7b", 1'720'574'976},
      {"qwen3-4b", 4'022'468'096},
      {"qwen3-8b", 8'190'735'360},
      {"qwen3-14b", 14'768'307'200},
      {"qwen3-32b", 32'762'123'264},
      {"qwen3-30b-a3b", 30'532'122'624},
      {"llama-3.2-1b", 1'235'814'400},
      {"llama-3.2-3b", 3'212'749'824},
      {"llama-3.1-8b", 8'030'261'248},
      {"llama-3.3-70b", 70'553'706'496},
      {"llama-2-13b", 13'015'864'320},
      {"gemma-3-270m", 268'098'176},
      {"gemma-3-1b", 999'885'952},
      {"smollm2-135m", 134'515'008},
      {"smollm2-360m", 361'821'120},
      {"smollm2-1.7b", 1'711'376'384},
      {"smollm3-3b", 3'075'098'624},
      {"phi-3.5-mini", 3'821'079'552},
      {"phi-4-mini", 3'836'021'760},
      {"phi-4", 14'659'507'200},
      {"mistral-7b", 7'248'023'552},
      {"mistral-nemo-12b", 12'247'782'400},
      {"mistral-small-24b", 23'572'403'200},
      {"mixtral-8x7b", 46'702'792'704},
  };
  std::size_t compared = 0;
  for (const ModelShape& each : shapes()) {
    const auto known = published.find(each.name);
    if (known == published.end()) continue;
    EXPECT_EQ(facts_of_shape(each, *find_quantization("Q4_K_M")).parameters, known->second) << each.name;
    ++compared;
  }
  EXPECT_EQ(compared, published.size());
}

/// The catalogue's sizes are those of published files, to the byte. Mixtral's is of 2023, when the quantizer
/// gave ffn_down of experts fewer bits than it does today: that file is a tenth smaller.
TEST(ShapeFacts, FileSizesAreThoseOfTheCatalogue) {
  const auto catalogue = load_catalogue();
  ASSERT_TRUE(catalogue.ok());
  int compared = 0;
  for (const ModelShape& each : shapes()) {
    const CatalogueEntry* entry = catalogue->find(each.name);
    if (entry == nullptr || find_quantization(entry->quantization) == nullptr) continue;
    if (each.name == "mixtral-8x7b") continue;
    const double off = off_by(each.name, entry->quantization, static_cast<double>(entry->size.count));
    EXPECT_LE(std::abs(off), kMostOff) << each.name << " " << entry->quantization << " is off by " << off;
    ++compared;
  }
  EXPECT_GE(compared, 10);
}

TEST(ShapeFacts, FileSizesAreThoseThatOthersPublished) {
  constexpr double kGiB = 1024.0 * 1024 * 1024;
  constexpr double kGB = 1e9;
  const struct {
    const char* name;
    const char* quantization;
    double bytes;
  } cases[] = {
      // llama.cpp v0.5.0, tools/quantize/README.md and quantize.cpp (weights only)
      {"llama-3.1-8b", "Q8_0", 7.95 * kGiB},
      {"llama-3.1-8b", "Q6_K", 6.14 * kGiB},
      {"llama-3.1-8b", "Q5_K_M", 5.33 * kGiB},
      {"llama-3.1-8b", "Q4_K_M", 4.58 * kGiB},
      {"llama-3.1-8b", "Q4_0", 4.34 * kGiB},
      {"llama-3.1-8b", "Q3_K_M", 3.74 * kGiB},
      {"llama-3.1-8b", "Q2_K", 2.95 * kGiB},
      // bartowski/google_gemma-3-4b-it-GGUF, README.md
      {"gemma-3-4b", "Q8_0", 4.13 * kGB},
      {"gemma-3-4b", "Q6_K", 3.19 * kGB},
      {"gemma-3-4b", "Q5_K_M", 2.83 * kGB},
      {"gemma-3-4b", "Q4_K_M", 2.49 * kGB},
      // bartowski/Phi-3.5-mini-instruct-GGUF, README.md
      {"phi-3.5-mini", "Q8_0", 4.06 * kGB},
      {"phi-3.5-mini", "Q6_K", 3.14 * kGB},
      {"phi-3.5-mini", "Q5_K_M", 2.82 * kGB},
      {"phi-3.5-mini", "Q4_K_M", 2.39 * kGB},
      // Qwen/Qwen3-30B-A3B-GGUF, the file's size
      {"qwen3-30b-a3b", "Q4_K_M", 18'556'685'824.0},
  };
  for (const auto& each : cases) {
    const double off = off_by(each.name, each.quantization, each.bytes);
    EXPECT_LE(std::abs(off), kMostOff) << each.name << " " << each.quantization << " is off by " << off;
  }
}

/// The corrected table of the guide (docs/recommend.md).
TEST(ShapeFacts, BitsAWeightAreThoseOfTheQuantizer) {
  const std::map<std::string, double> measured{{"Q8_0", 8.5008},   {"Q6_K", 6.5633},   {"Q5_K_M", 5.7036},
                                               {"Q4_K_M", 4.8944}, {"Q3_K_M", 3.9960}, {"Q2_K", 3.1593}};
  for (const auto& [name, bits] : measured) {
    EXPECT_NEAR(facts("llama-3.1-8b", name).bits_per_weight(), bits, bits * 0.005) << name;
  }
}

TEST(ShapeFacts, CacheAndWindowsAreThoseOfTheArchitecture) {
  const ModelFacts llama = facts("llama-3.1-8b", "Q4_K_M");
  EXPECT_EQ(llama.kv_per_token_of_all_layers(), Bytes{32ULL * 2 * 1024 * 2});
  EXPECT_FALSE(llama.tied_head);
  const ModelFacts gemma = facts("gemma-3-1b", "Q4_K_M");
  ASSERT_EQ(gemma.layer_facts.size(), 26U);
  EXPECT_EQ(gemma.layer_facts[0].window, 512U);
  EXPECT_EQ(gemma.layer_facts[5].window, 0U);
  EXPECT_TRUE(gemma.tied_head);
  EXPECT_GT(memory_need(gemma, MemoryQuestion::whole(gemma)).total(), gemma.weights());
}

TEST(ShapeFacts, OfExpertsATokenReadsThoseThatItUses) {
  const ModelFacts model = facts("qwen3-30b-a3b", "Q4_K_M");
  EXPECT_EQ(model.experts, 128U);
  EXPECT_EQ(model.experts_used, 8U);
  // 3.3 of 30.5 thousand million, with the head in more bits than the rest
  const double part =
      static_cast<double>(model.active_per_token().count) / static_cast<double>(model.weights().count);
  EXPECT_NEAR(part, 3.3 / 30.5, 0.02);
}

TEST(Quantization, RowsThatAreNoWholeBlocksGetSmallerOnes) {
  const ModelShape& small = shape("qwen2.5-0.5b");  // rows of 896
  const auto type = [&](std::string_view name, TensorRole role, std::uint64_t columns) {
    return type_of_tensor(*find_quantization(name), small, role, columns, 3);
  };
  EXPECT_EQ(type("Q4_K_M", TensorRole::matrix, 896), GGML_TYPE_Q5_0);
  EXPECT_EQ(type("Q4_K_M", TensorRole::embedding, 896), GGML_TYPE_Q8_0);
  EXPECT_EQ(type("Q6_K", TensorRole::matrix, 896), GGML_TYPE_Q8_0);
  EXPECT_EQ(type("Q4_K_M", TensorRole::matrix, 4864), GGML_TYPE_Q4_K);
  EXPECT_EQ(type("Q8_0", TensorRole::matrix, 900), GGML_TYPE_F16);
  EXPECT_EQ(type("Q2_K", TensorRole::vector, 896), GGML_TYPE_F32);
  EXPECT_EQ(find_quantization("Q9"), nullptr);
}

}  // namespace
}  // namespace caravan::model
