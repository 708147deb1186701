// Workers that add up what each of them has, over real connections between them.
#include "fabric/worker/all_reduce.h"

#include <gtest/gtest.h>

#include "fabric/worker/testing.h"

namespace caravan::fabric::worker {
namespace {

using testing::identity;
using testing::Master;
using testing::Worker;

using Values = std::vector<float>;

std::string bytes_of(const Values& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

Values random_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  Values values(count);
  for (float& value : values) value = static_cast<float>(random() % 2001) / 1000.0F - 1.0F;
  return values;
}

/// Workers that all reach each other, each with a buffer 1 for so many values, and their masters.
class Group {
 public:
  Group(std::uint32_t stages, std::size_t values) {
    for (std::uint32_t i = 0; i < stages; ++i) {
      workers_.push_back(std::make_unique<Worker>(key(i)));
      auto listener = Listener::open("127.0.0.1:0", Addresses::loopback);
      addresses_.push_back(listener->address());
      workers_[i]->server.serve(std::move(*listener));
      masters_.push_back(std::make_unique<Master>(workers_[i]->server));
      EXPECT_TRUE(master(i).greet_as_master(identity(key(i))).ok());
    }
    for (std::uint32_t i = 0; i < stages; ++i) {
      master(i).say(Open{i, 0, 1, 5});
      // One after the other: ggml prepares its devices at the first one.
      master(i).say(Ping{1});
      EXPECT_TRUE(master(i).hear_message<Pong>().ok());
      for (std::uint32_t other = 0; other < stages; ++other) {
        if (other != i) master(i).say(Peer{other, identity(key(other)).key, addresses_[other]});
      }
      master(i).say(Alloc{1, values * sizeof(float)});
    }
  }
  Master& master(std::uint32_t stage) { return *masters_[stage]; }
  Server& server(std::uint32_t stage) { return workers_[stage]->server; }
  void give(std::uint32_t stage, const Values& values) {
    const std::string bytes = bytes_of(values);
    for (std::size_t done = 0; done < bytes.size(); done += kMaxChunk)
      master(stage).say(Set{1, done, std::string_view(bytes).substr(done, kMaxChunk)});
  }

 private:
  static std::uint8_t key(std::uint32_t stage) { return static_cast<std::uint8_t>(10 * stage + 1); }
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Master>> masters_;
};

TEST(FabricAllReduce, AllHaveTheSumOfThoseThatContributeInTheOrderOfStages) {
  constexpr std::uint32_t kStages = 3;
  constexpr std::size_t kValues = 1000;
  Group group(kStages, kValues);
  std::vector<Values> all;
  for (std::uint32_t i = 0; i < kStages; ++i) {
    all.push_back(random_values(kValues, i));
    group.give(i, all[i]);
  }
  for (const StageSet contributors : {StageSet{7}, StageSet{5}, StageSet{2}}) {
    Values sum;
    for (std::uint32_t i = 0; i < kStages; ++i) {
      if (!has_stage(contributors, i)) continue;
      if (sum.empty()) {
        sum = all[i];
        continue;
      }
      for (std::size_t k = 0; k < kValues; ++k) sum[k] += all[i][k];
    }
    const Region region{1, 0, kValues * sizeof(float)};
    for (std::uint32_t i = 0; i < kStages; ++i) {
      group.give(i, all[i]);
      group.master(i).say(Reduce{10 + contributors, 7, contributors, region});
    }
    for (std::uint32_t i = 0; i < kStages; ++i) {
      const auto got = group.master(i).fetch(region);
      ASSERT_TRUE(got.ok()) << got.error().message;
      EXPECT_EQ(*got, bytes_of(sum)) << "stage " << i << " of " << contributors;
    }
  }
}

TEST(FabricAllReduce, LargeOnesAndManyInARowDoNotBlockEachOther) {
  constexpr std::size_t kValues = 300'000;  // several messages, and more than a socket holds
  Group group(2, kValues);
  for (std::uint32_t i = 0; i < 2; ++i) group.give(i, Values(kValues, static_cast<float>(i + 1)));
  for (std::uint64_t tag = 1; tag <= 2; ++tag) {
    for (std::uint32_t i = 0; i < 2; ++i)
      group.master(i).say(Reduce{tag, 3, 3, {1, 0, kValues * sizeof(float)}});
  }
  for (std::uint32_t i = 0; i < 2; ++i) {
    const auto got = group.master(i).fetch({1, (kValues - 1) * sizeof(float), sizeof(float)});
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(*got, bytes_of({6})) << "1 + 2, and that twice";
  }
}

TEST(FabricAllReduce, WithoutContributorsAllIsZeros) {
  Group group(2, 4);
  group.give(0, {1, 2, 3, 4});
  group.master(0).say(Reduce{1, 3, 0, {1, 4, 8}});
  EXPECT_EQ(*group.master(0).fetch({1, 0, 16}), bytes_of({1, 0, 0, 4}));
}

TEST(FabricAllReduce, WhatCannotBeIsRefused) {
  const std::map<std::string, Reduce> wrong{
      {"not this worker's", Reduce{1, 2, 2, {1, 0, 8}}},
      {"not all in buffer", Reduce{1, 1, 1, {1, 12, 8}}},
      {"no buffer", Reduce{1, 1, 1, {9, 0, 8}}},
      {"nobody has said where stage 5", Reduce{1, 33, 1, {1, 0, 8}}},
  };
  for (const auto& [because, command] : wrong) {
    Group group(1, 4);
    group.master(0).say(command);
    EXPECT_NE(group.master(0).last_words().message.find(because), std::string::npos) << because;
  }
}

TEST(FabricAllReduce, ValuesOfAnotherSizeAreRefused) {
  Group group(2, 4);
  group.master(0).say(Reduce{1, 3, 3, {1, 0, 8}});
  group.master(1).say(Reduce{1, 3, 3, {1, 0, 16}});
  for (std::uint32_t i = 0; i < 2; ++i)
    EXPECT_NE(group.master(i).last_words().message.find("does not fill a region"), std::string::npos);
}

TEST(FabricAllReduce, SmallOnesInARowAreReadByWhoAddsUp) {
  constexpr std::uint32_t kStages = 3;
  Group group(kStages, 1);
  for (std::uint32_t i = 0; i < kStages; ++i) group.give(i, {1});
  for (std::uint64_t tag = 1; tag <= 10; ++tag) {
    for (std::uint32_t i = 0; i < kStages; ++i) group.master(i).say(Reduce{tag, 7, 7, {1, 0, 4}});
  }
  // Hand-offs of another kind come through the same connections, and are read by their own thread again.
  group.master(0).say(Send{11, 2, Format::as_is, {1, 0, 4}});
  group.master(2).say(Fill{{1, 0, 4}, 0});
  group.master(2).say(Receive{11, 0, {1, 0, 4}});
  for (std::uint32_t i = 0; i < kStages; ++i)
    EXPECT_EQ(*group.master(i).fetch({1, 0, 4}), bytes_of({59049})) << "three to the power of 10";
}

TEST(FabricAllReduce, WhoReadsByItselfGoesOnWhileTheConnectionsThreadWakes) {
  Group group(2, 1);
  // In each turn the reading is taken over, the first small one wakes the thread that read until then, and a
  // hand-off of the other kind gives the reading back to it.
  for (std::uint64_t tag = 1; tag <= 1000; tag += 6) {
    for (std::uint64_t each = tag; each < tag + 4; ++each) {
      for (std::uint32_t i = 0; i < 2; ++i) group.master(i).say(Reduce{each, 3, 3, {1, 0, 4}});
    }
    for (std::uint32_t i = 0; i < 2; ++i) {
      group.master(i).say(Send{tag + 4 + i, 1 - i, Format::as_is, {1, 0, 4}});
      group.master(1 - i).say(Receive{tag + 4 + i, i, {1, 0, 4}});
    }
    for (std::uint32_t i = 0; i < 2; ++i) {
      const auto got = group.master(i).fetch({1, 0, 4});
      ASSERT_TRUE(got.ok()) << "after " << tag << ": " << got.error().message;
    }
  }
}

TEST(FabricAllReduce, OneThatWaitsForAnotherForgetsItWhenItsMasterGoes) {
  Group group(2, 4);
  for (std::uint32_t i = 0; i < 2; ++i) group.master(i).say(Reduce{1, 3, 3, {1, 0, 16}});
  for (std::uint32_t i = 0; i < 2; ++i) ASSERT_TRUE(group.master(i).fetch({1, 0, 16}).ok());
  group.master(0).say(Reduce{2, 3, 3, {1, 0, 16}});
  group.master(0).hang_up();
  Master next(group.server(0));
  const auto welcome = next.greet_as_master(identity(1));
  EXPECT_TRUE(welcome.ok()) << welcome.error().message;
}

}  // namespace
}  // namespace caravan::fabric::worker
