#include "model/memory_need.h"

#include <limits>

#include <gmock/gmock.h>

namespace caravan::model {
namespace {

/// Four layers of 1000 bytes, 64 wide; the second one slides over 100 tokens.
ModelFacts some_model() {
  ModelFacts model;
  model.layers.assign(4, Bytes{1000});
  model.embedding = Bytes{5000};
  model.head = Bytes{5000};
  model.tied_head = true;
  model.other = Bytes{10};
  model.embedding_length = 64;
  model.vocabulary = 32;
  LayerFacts layer;
  layer.heads = 8;
  layer.query_width = 64;
  layer.key_width = layer.value_width = 32;
  layer.key_length = 8;
  layer.feed_forward = 3 * 128;
  model.layer_facts.assign(4, layer);
  model.layer_facts[1].window = 100;
  return model;
}

TEST(MemoryNeed, WeightsOfEachPart) {
  ModelFacts model = some_model();
  MemoryQuestion question = MemoryQuestion::whole(model);
  EXPECT_EQ(memory_need(model, question).weights, Bytes{4 * 1000 + 5000 + 10}) << "tied: once";
  question.is_master = false;
  EXPECT_EQ(memory_need(model, question).weights, Bytes{4 * 1000 + 5000})
      << "tied, but the other is elsewhere";
  question.has_head = false;
  question.first_layer = 3;
  question.layer_count = 9;
  EXPECT_EQ(memory_need(model, question).weights, Bytes{1000}) << "layers that there are not, are ignored";
  model.tied_head = false;
  EXPECT_EQ(memory_need(model, MemoryQuestion::whole(model)).weights, Bytes{4 * 1000 + 5000 + 10 + 5000});
}

TEST(MemoryNeed, CacheByContextWindowAndType) {
  const ModelFacts model = some_model();
  MemoryQuestion question = MemoryQuestion::whole(model);
  question.context = 1000;  // 1024 in the engine, which rounds up to 256
  question.ubatch = 128;
  const std::uint64_t token = (32 + 32) * 2;
  EXPECT_EQ(memory_need(model, question).kv, Bytes{token * (3 * 1024 + 256)}) << "100 + 128, rounded up";
  question.parallel = 2;
  EXPECT_EQ(memory_need(model, question).kv, Bytes{2 * token * (3 * 1024 + 256)});
  question.unified = true;
  EXPECT_EQ(memory_need(model, question).kv, Bytes{token * (3 * 2048 + 512)}) << "2 x 100 + 128, rounded up";
  question.parallel = 1;
  question.key_type = KvType::q8_0;
  question.value_type = KvType::q4_0;
  EXPECT_EQ(memory_need(model, question).kv, Bytes{(34 + 18) * (3 * 1024 + 256)});
}

TEST(MemoryNeed, RecurrentStateIsForEachSequenceNotEachToken) {
  ModelFacts model = some_model();
  for (LayerFacts& layer : model.layer_facts) {
    layer = {};
    layer.state = 300;
    layer.projection = 200;
  }
  MemoryQuestion question = MemoryQuestion::whole(model);
  const Memory small = memory_need(model, question);
  EXPECT_EQ(small.kv, Bytes{4 * 300 * 4});
  question.context *= 8;
  EXPECT_EQ(memory_need(model, question).kv, small.kv);
  EXPECT_EQ(memory_need(model, question).compute, small.compute);
  question.parallel = 3;
  EXPECT_EQ(memory_need(model, question).kv, Bytes{3 * 4 * 300 * 4});
}

TEST(MemoryNeed, ComputeBuffersGrowWithWhatTheyHold) {
  const ModelFacts model = some_model();
  const MemoryQuestion question = MemoryQuestion::whole(model);
  const Bytes plain = memory_need(model, question).compute;
  // feed-forward: 4 x 64 + 3 x 128 values of 512 tokens, masks of 2048 and 768 tokens, 64 bytes a token
  const std::uint64_t logits = 32 * 4;
  EXPECT_EQ(plain.count, (256 + 384) * 512U * 4 + (2048 + 768) * 512U * 2 + 512U * 64 + logits);
  MemoryQuestion other = question;
  other.flash_attention = false;
  EXPECT_GT(memory_need(model, other).compute, plain);
  other = question;
  other.pipelined = true;
  EXPECT_GT(memory_need(model, other).compute, plain);
  other = question;
  other.ubatch = 64;
  EXPECT_LT(memory_need(model, other).compute, plain);
  other = question;
  other.layer_count = 0;
  EXPECT_LT(memory_need(model, other).compute, plain);
}

TEST(MemoryNeed, AMicroBatchIsNoLargerThanTheContext) {
  const ModelFacts model = some_model();
  MemoryQuestion question = MemoryQuestion::whole(model);
  question.context = 256;
  const Bytes compute = memory_need(model, question).compute;
  question.ubatch = 256;
  EXPECT_EQ(memory_need(model, question).compute, compute);
}

TEST(MemoryNeed, SurvivesWithoutFactsAndWithAbsurdNumbers) {
  ModelFacts unknown = some_model();
  unknown.layer_facts.clear();
  EXPECT_EQ(memory_need(unknown, MemoryQuestion::whole(unknown)).kv, Bytes{});
  EXPECT_GT(memory_need(unknown, MemoryQuestion::whole(unknown)).compute, Bytes{});
  MemoryQuestion absurd = MemoryQuestion::whole(unknown);
  absurd.context = absurd.parallel = absurd.ubatch = std::numeric_limits<std::uint64_t>::max();
  absurd.first_layer = absurd.layer_count = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(memory_need(some_model(), absurd).kv, Bytes{});
  absurd.context = absurd.parallel = absurd.ubatch = absurd.first_layer = 0;
  EXPECT_GT(memory_need(some_model(), absurd).kv, Bytes{});
}

TEST(MemoryNeed, TypesOfTheCache) {
  EXPECT_EQ(kv_bytes(KvType::f16, 100), Bytes{200});
  EXPECT_EQ(kv_bytes(KvType::q8_0, 64), Bytes{68});
  EXPECT_EQ(kv_bytes(KvType::q4_0, 33), Bytes{36}) << "whole blocks";
  EXPECT_EQ(kv_type_from_name("q5_1"), KvType::q5_1);
  EXPECT_EQ(kv_type_from_name("Q5"), std::nullopt);
  EXPECT_EQ(name_of(KvType::iq4_nl), "iq4_nl");
}

}  // namespace
}  // namespace caravan::model
