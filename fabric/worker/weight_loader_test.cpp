#include "fabric/worker/weight_loader.h"

#include <gtest/gtest.h>

#include "fabric/store/packing.h"
#include "fabric/worker/testing.h"

namespace caravan::fabric::worker {
namespace {

using testing::Master;
using testing::Worker;

TEST(FabricWeights, WeightsComeFromTheStoreOrAreStreamedOnce) {
  Worker worker;
  const std::string here = "these bytes are in the store";
  const std::string missing = "these are not";
  const Content known = worker.weights.add(here);
  const Content unknown{hash_of(missing), missing.size()};
  for (int round = 0; round < 2; ++round) {
    Master master(worker.server);
    ASSERT_TRUE(master.greet_as_master().ok());
    master.say(Open{0, 0, 1, 1});
    master.say(Alloc{1, 100});
    master.say(Weight{7, 1, 0, known});
    master.say(Weight{8, 1, 50, unknown});
    master.say(WeightsEnd{2});
    const auto asked = master.hear_message<Missing>();
    ASSERT_TRUE(asked.ok());
    ASSERT_EQ(asked->weights.size(), round == 0 ? 1U : 0U);
    if (round == 0) {
      EXPECT_EQ(asked->weights[0], (MissingWeight{8, 0}));
      master.say(Stream{8, 0, Packing::plain, missing.substr(0, 5)});
      master.say(Stream{8, 5, Packing::plain, missing.substr(5)});
    }
    EXPECT_EQ(*master.fetch({1, 0, here.size()}), here);
    EXPECT_EQ(*master.fetch({1, 50, missing.size()}), missing);
    master.hang_up();
  }
}

TEST(FabricWeights, AStreamThatWasCutGoesOn) {
  Worker worker;
  const std::string bytes = "one half, and the other half";
  const Content content{hash_of(bytes), bytes.size()};
  for (const std::uint64_t from : {std::uint64_t{0}, std::uint64_t{9}}) {
    Master master(worker.server);
    ASSERT_TRUE(master.greet_as_master().ok());
    master.say(Open{0, 0, 1, 1});
    master.say(Alloc{1, 100});
    master.say(Weight{0, 1, 0, content});
    master.say(WeightsEnd{2});
    const auto asked = master.hear_message<Missing>();
    ASSERT_TRUE(asked.ok());
    EXPECT_EQ(asked->weights[0], (MissingWeight{0, from}));
    master.say(Stream{0, from, Packing::plain, from == 0 ? bytes.substr(0, 9) : bytes.substr(9)});
    if (from != 0) {
      EXPECT_EQ(*master.fetch({1, 0, bytes.size()}), bytes);
    }
    master.say(Ping{1});
    ASSERT_TRUE(master.hear_message<Pong>().ok());
    master.hang_up();
  }
}

TEST(FabricWeights, PackedChunksAreUnpacked) {
  Worker worker;
  std::string bytes(kMaxChunk + 4000, '\0');  // many equal first bytes, as exponents are
  for (std::size_t i = 0; i < bytes.size(); i += 2) bytes[i] = static_cast<char>(i * 37 % 251);
  const Content content{hash_of(bytes), bytes.size()};
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  master.say(Alloc{1, bytes.size()});
  master.say(Weight{0, 1, 0, content});
  master.say(WeightsEnd{1});
  ASSERT_TRUE(master.hear_message<Missing>().ok());
  for (const std::size_t at : {std::size_t{0}, kMaxChunk}) {
    const auto packed = fabric::pack(std::string_view(bytes).substr(at, kMaxChunk), 2);
    ASSERT_TRUE(packed.has_value());
    master.say(Stream{0, at, Packing::two_bytes, *packed});
  }
  const auto all = master.fetch({1, 0, bytes.size()});
  ASSERT_TRUE(all.ok());
  EXPECT_TRUE(*all == bytes);
  EXPECT_TRUE(worker.weights.has(content));
}

TEST(FabricWeights, TheGoldenPackedBytesAreUnpacked) {
  std::string values(14, '?');
  ASSERT_TRUE(fabric::unpack(fabric::testing::kPackedData, 2, values).ok());
  EXPECT_EQ(values, "\1?\2?\3?\4?\5?\6?\7?");
}

TEST(FabricWeights, PackedBytesThatAreDamagedEndThePlan) {
  Worker worker;
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  master.say(Alloc{1, 100});
  master.say(Weight{0, 1, 0, {hash_of("good"), 4}});
  master.say(WeightsEnd{1});
  ASSERT_TRUE(master.hear_message<Missing>().ok());
  master.say(Stream{0, 0, Packing::four_bytes, "\xff\xff\xff\xff\xff"});
  EXPECT_EQ(master.last_words().code, Code::invalid);
}

TEST(FabricWeights, ABufferThatGoesTakesWhatIsMissingInItAlong) {
  Worker worker;
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  master.say(Alloc{1, 100});
  const Content content{hash_of("good"), 4};
  master.say(Weight{0, 1, 0, content});
  master.say(Free{1});
  master.say(Alloc{1, 100});
  master.say(Weight{0, 1, 8, content});
  master.say(WeightsEnd{1});
  const auto asked = master.hear_message<Missing>();
  ASSERT_TRUE(asked.ok());
  EXPECT_EQ(asked->weights, (std::vector<MissingWeight>{{0, 0}}));
  master.say(Stream{0, 0, Packing::plain, "good"});
  EXPECT_EQ(*master.fetch({1, 8, 4}), "good");
}

TEST(FabricWeights, AWeightOfAnotherContentIsNeverUsed) {
  Worker worker;
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  master.say(Alloc{1, 100});
  const Content content{hash_of("good"), 4};
  master.say(Weight{0, 1, 0, content});
  master.say(WeightsEnd{2});
  ASSERT_TRUE(master.hear_message<Missing>().ok());
  master.say(Stream{0, 0, Packing::plain, "evil"});
  EXPECT_EQ(master.last_words().code, Code::invalid);
  EXPECT_FALSE(worker.weights.has(content));
  EXPECT_EQ(worker.weights.kept(content), 0U);
}

}  // namespace
}  // namespace caravan::fabric::worker
