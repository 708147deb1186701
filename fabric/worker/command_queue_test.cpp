#include "fabric/worker/command_queue.h"

#include <gtest/gtest.h>

namespace caravan::fabric::worker {
namespace {

const Error kGone{Code::disconnected, "the master is gone", ""};

TEST(FabricCommandQueue, WhatWaitsIsTakenAfterTheEnd) {
  CommandQueue queue(1000);
  EXPECT_TRUE(queue.push({Type::set, "a"}));
  queue.end(kGone);
  const auto frame = queue.pop();
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->payload, "a");
  EXPECT_FALSE(queue.pop().has_value());
  EXPECT_EQ(queue.why().message, kGone.message);
}

TEST(FabricCommandQueue, KeepsFirstOnesOfATypeOnly) {
  CommandQueue queue(1000);
  for (const auto& [type, payload] :
       {std::pair{Type::stream, "1"}, {Type::stream, "2"}, {Type::run, "3"}, {Type::stream, "4"}})
    EXPECT_TRUE(queue.push({type, payload}));
  queue.end(kGone);
  queue.keep_first(Type::stream);
  EXPECT_EQ(queue.pop()->payload, "1");
  EXPECT_EQ(queue.pop()->payload, "2");
  EXPECT_FALSE(queue.pop().has_value());
}

TEST(FabricCommandQueue, NothingIsTakenOnceItIsAbandoned) {
  CommandQueue queue(1000);
  EXPECT_TRUE(queue.push({Type::stream, "1"}));
  queue.abandon();
  EXPECT_FALSE(queue.pop().has_value());
  EXPECT_FALSE(queue.push({Type::stream, "2"}));
  EXPECT_EQ(queue.why().code, Code::interrupted);
}

}  // namespace
}  // namespace caravan::fabric::worker
