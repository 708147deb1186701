#include "model/layer_facts.h"

#include <gmock/gmock.h>

#include "model/gguf_builder.h"

namespace caravan::model {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A model of `layers` layers, 64 wide, with 8 heads of which 2 are for keys and values.
GgufBuilder model_of(const std::string& architecture, std::uint32_t layers, bool with_kv_heads = true) {
  GgufBuilder builder;
  builder.text("general.architecture", architecture).number(architecture + ".block_count", layers);
  builder.number(architecture + ".embedding_length", 64).number(architecture + ".attention.head_count", 8);
  if (with_kv_heads) builder.number(architecture + ".attention.head_count_kv", 2);
  builder.tensor("token_embd.weight", {64, 16});
  return builder;
}

std::vector<LayerFacts> layers_of(const GgufBuilder& builder) {
  const std::string bytes = builder.bytes();
  const auto facts = read_model_facts(source_of(bytes));
  EXPECT_TRUE(facts.ok()) << facts.error().message;
  return facts ? facts->layer_facts : std::vector<LayerFacts>{};
}

std::vector<std::uint64_t> windows_of(const GgufBuilder& builder) {
  std::vector<std::uint64_t> windows;
  for (const LayerFacts& layer : layers_of(builder)) windows.push_back(layer.window);
  return windows;
}

TEST(LayerFacts, WindowsByTheRuleOfEachArchitecture) {
  const auto window = [](const std::string& architecture, std::uint32_t layers, std::uint32_t size) {
    return windows_of(
        model_of(architecture, layers).number(architecture + ".attention.sliding_window", size));
  };
  EXPECT_THAT(window("gemma3", 7, 512), ElementsAre(512, 512, 512, 512, 512, 0, 512));
  EXPECT_THAT(window("gpt-oss", 4, 128), ElementsAre(128, 0, 128, 0));
  EXPECT_THAT(window("cohere2", 4, 9), ElementsAre(9, 9, 9, 0));
  EXPECT_THAT(window("laguna", 5, 9), ElementsAre(0, 9, 9, 9, 0)) << "the first one looks at everything";
  EXPECT_THAT(window("llama4", 4, 1), ElementsAre(8192, 8192, 8192, 0)) << "whatever the file says";
  EXPECT_THAT(window("llama4", 4, 0), Each(0));
  EXPECT_THAT(window("phi3", 4, 512), Each(0)) << "the engine ignores it";
  EXPECT_THAT(window("llama", 4, 512), Each(0));
  EXPECT_THAT(window("exaone4", 4, 512), Each(0)) << "only the one with 64 layers slides";
  EXPECT_THAT(windows_of(model_of("gemma2", 2)), ElementsAre(4096, 0)) << "its default";
}

TEST(LayerFacts, WindowsAsTheFileLists) {
  GgufBuilder listed = model_of("gemma4", 3).number("gemma4.attention.sliding_window", 256);
  listed.list<std::uint8_t>("gemma4.attention.sliding_window_pattern", GGUF_TYPE_BOOL, {0, 1, 1});
  EXPECT_THAT(windows_of(listed), ElementsAre(0, 256, 256));
  GgufBuilder period = model_of("gemma3", 3).number("gemma3.attention.sliding_window", 256);
  EXPECT_THAT(windows_of(period.number("gemma3.attention.sliding_window_pattern", 2)),
              ElementsAre(256, 0, 256));
}

TEST(LayerFacts, SlidingLayersMayHaveOtherHeads) {
  GgufBuilder builder = model_of("gpt-oss", 2).number("gpt-oss.attention.sliding_window", 128);
  builder.number("gpt-oss.attention.key_length", 32).number("gpt-oss.attention.key_length_swa", 16);
  const auto layers = layers_of(builder);
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[0].key_width, 32U);
  EXPECT_EQ(layers[1].key_width, 64U);
  EXPECT_EQ(layers[0].value_width, 16U);
}

TEST(LayerFacts, MlaKeepsOnlyTheCompressedVector) {
  GgufBuilder builder = model_of("deepseek2", 1, false).number("deepseek2.attention.head_count_kv", 1);
  builder.number("deepseek2.attention.key_length", 576).number("deepseek2.attention.value_length", 512);
  builder.number("deepseek2.attention.key_length_mla", 192)
      .number("deepseek2.attention.value_length_mla", 128);
  builder.number("deepseek2.attention.kv_lora_rank", 512);
  const auto layers = layers_of(builder);
  ASSERT_EQ(layers.size(), 1U);
  EXPECT_EQ(layers[0].key_width, 576U);
  EXPECT_EQ(layers[0].value_width, 0U);
  EXPECT_EQ(layers[0].latent_width, 512U);
}

TEST(LayerFacts, LayersThatLookIntoAnothersCacheHaveNone) {
  const auto layers = layers_of(model_of("gemma4", 3).number("gemma4.attention.shared_kv_layers", 2));
  ASSERT_EQ(layers.size(), 3U);
  EXPECT_TRUE(layers[0].has_attention());
  EXPECT_FALSE(layers[1].has_attention());
  EXPECT_FALSE(layers[2].has_attention());
  const auto extra = layers_of(model_of("glm4moe", 3).number("glm4moe.nextn_predict_layers", 1));
  ASSERT_EQ(extra.size(), 3U);
  EXPECT_TRUE(extra[1].has_attention());
  EXPECT_FALSE(extra[2].has_attention()) << "only for predicting further tokens";
}

GgufBuilder& with_state_space(GgufBuilder& builder, const std::string& architecture) {
  builder.number(architecture + ".ssm.conv_kernel", 4).number(architecture + ".ssm.inner_size", 128);
  return builder.number(architecture + ".ssm.state_size", 16).number(architecture + ".ssm.group_count", 1);
}

constexpr std::uint64_t kState = 3 * (128 + 2 * 16) + 16 * 128;

TEST(LayerFacts, RecurrentAndHybridLayers) {
  GgufBuilder mamba = model_of("mamba2", 2);
  for (const LayerFacts& layer : layers_of(with_state_space(mamba, "mamba2"))) {
    EXPECT_EQ(layer.state, kState);
    EXPECT_FALSE(layer.has_attention());
  }
  GgufBuilder falcon = model_of("falcon-h1", 1);
  const auto both = layers_of(with_state_space(falcon, "falcon-h1"));
  ASSERT_EQ(both.size(), 1U);
  EXPECT_EQ(both[0].state, kState);
  EXPECT_EQ(both[0].key_width, 16U);

  GgufBuilder jamba = model_of("jamba", 2, false);
  jamba.list<std::uint32_t>("jamba.attention.head_count_kv", GGUF_TYPE_UINT32, {0, 2});
  const auto either = layers_of(with_state_space(jamba, "jamba"));
  ASSERT_EQ(either.size(), 2U);
  EXPECT_EQ(either[0].state, kState);
  EXPECT_EQ(either[0].key_width, 0U);
  EXPECT_EQ(either[1].state, 0U);
  EXPECT_EQ(either[1].key_width, 16U);

  GgufBuilder delta = model_of("qwen3next", 5);
  std::vector<bool> recurrent;
  for (const LayerFacts& layer : layers_of(with_state_space(delta, "qwen3next"))) {
    recurrent.push_back(layer.is_recurrent());
    EXPECT_NE(layer.is_recurrent(), layer.has_attention());
  }
  EXPECT_THAT(recurrent, ElementsAre(true, true, true, false, true));

  GgufBuilder convolutions = model_of("lfm2", 2, false).number("lfm2.shortconv.l_cache", 3);
  convolutions.list<std::uint32_t>("lfm2.attention.head_count_kv", GGUF_TYPE_UINT32, {0, 2});
  const auto short_ones = layers_of(convolutions);
  ASSERT_EQ(short_ones.size(), 2U);
  EXPECT_EQ(short_ones[0].state, 2U * 64);
  EXPECT_EQ(short_ones[1].state, 0U);
}

TEST(LayerFacts, ExpertsAndWidthsFromTheTensors) {
  GgufBuilder builder = model_of("qwen3moe", 1).number("qwen3moe.expert_count", 4);
  builder.number("qwen3moe.expert_used_count", 1);
  builder.tensor("blk.0.attn_q.weight", {64, 64});
  for (const char* name : {"gate", "up"}) {
    builder.tensor(std::string("blk.0.ffn_") + name + "_exps.weight", {64, 32, 4});
  }
  builder.tensor("blk.0.ffn_down_exps.weight", {32, 64, 4}).tensor("blk.0.ffn_gate_inp.weight", {64, 4});
  const std::string bytes = builder.bytes();
  const auto facts = read_model_facts(source_of(bytes));
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  const LayerFacts& layer = facts->layer_facts.at(0);
  EXPECT_EQ(layer.experts.count, 3U * 64 * 32 * 4 * 4);
  EXPECT_EQ(layer.expert_feed_forward, 3U * 32);
  EXPECT_EQ(layer.feed_forward, 0U);
  EXPECT_EQ(layer.query_width, 64U);
  EXPECT_EQ(facts->active_of_layer(0).count, facts->layers[0].count - layer.experts.count / 4 * 3);
  EXPECT_EQ(facts->active_per_token(), facts->active_of_layer(0) + facts->head);
  EXPECT_EQ(facts->experts, 4U);
  EXPECT_EQ(facts->experts_used, 1U);
}

TEST(LayerFacts, ContradictionsMakeThemUnknown) {
  EXPECT_THAT(layers_of(model_of("llama", 2, false).number("llama.attention.head_count_kv", 1U << 20U)),
              IsEmpty());
  GgufBuilder huge = model_of("mamba", 1).number("mamba.ssm.state_size", 0xFFFFFFFF);
  EXPECT_THAT(layers_of(huge), IsEmpty());
  GgufBuilder too_few = model_of("llama", 2, false);
  too_few.list<std::uint32_t>("llama.attention.head_count_kv", GGUF_TYPE_UINT32, {1});
  EXPECT_THAT(layers_of(too_few), IsEmpty());
}

}  // namespace
}  // namespace caravan::model
