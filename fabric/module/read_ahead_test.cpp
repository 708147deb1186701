#include "fabric/module/read_ahead.h"

#include <cstring>

#include <gtest/gtest.h>

namespace caravan::fabric {
namespace {

TEST(ReadAhead, GivesPartsOfWhatItHas) {
  ReadAhead ahead;
  std::memcpy(ahead.prepare({1, 100, 4}), "abcd", 4);
  EXPECT_EQ(ahead.find({1, 100, 4}), nullptr) << "it has not come yet";
  ahead.complete();
  EXPECT_EQ(std::string(ahead.find({1, 100, 4}), 4), "abcd");
  EXPECT_EQ(std::string(ahead.find({1, 102, 2}), 2), "cd");
  for (const Region& other : {Region{2, 100, 4}, Region{1, 99, 4}, Region{1, 101, 4}, Region{1, 104, 1},
                              Region{1, 100, 5}, Region{1, 0, 1}})
    EXPECT_EQ(ahead.find(other), nullptr);
  ahead.clear();
  EXPECT_EQ(ahead.find({1, 100, 4}), nullptr);
}

TEST(ReadAhead, WhatIsPreparedStaysWhereItIs) {
  ReadAhead ahead;
  char* const first = ahead.prepare({1, 0, 1});
  for (std::uint64_t i = 1; i < 100; ++i) ahead.prepare({1, i, 1});
  *first = 'x';
  ahead.complete();
  EXPECT_EQ(*ahead.find({1, 0, 1}), 'x');
}

TEST(ReadAhead, LearnsNamesUpToALimit) {
  ReadAhead ahead;
  EXPECT_FALSE(ahead.knows("result_norm"));
  ahead.learn("result_norm");
  ahead.learn("");
  EXPECT_TRUE(ahead.knows("result_norm"));
  EXPECT_FALSE(ahead.knows(""));
  for (int i = 0; i < 1000; ++i) ahead.learn(std::to_string(i));
  EXPECT_FALSE(ahead.knows("999"));
}

}  // namespace
}  // namespace caravan::fabric
