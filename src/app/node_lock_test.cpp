#include "app/node_lock.h"

#include <unistd.h>

#include <fstream>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace caravan::app {
namespace {

TEST(NodeLock, IsHeldOnceAndSaysByWhom) {
  const auto folder = TemporaryFolder::make("lock");
  ASSERT_TRUE(folder.ok());
  const fs::path state = folder->path() / "made" / "by take";
  EXPECT_EQ(*lock_holder(state), std::nullopt);
  {
    const auto lock = NodeLock::take(state);
    ASSERT_TRUE(lock.ok()) << lock.error().message;
    const auto holder = lock_holder(state);
    ASSERT_TRUE(holder.ok() && holder->has_value());
    EXPECT_EQ((*holder)->pid, ::getpid());
    EXPECT_GT((*holder)->since, 1'600'000'000);
    const auto second = NodeLock::take(state);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, Code::unavailable);
    EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
    EXPECT_FALSE(second.error().hint.empty());
  }
  EXPECT_EQ(*lock_holder(state), std::nullopt) << "the file that is left behind means nothing";
  EXPECT_TRUE(NodeLock::take(state).ok());
}

TEST(NodeLock, WhateverStandsInTheFileIsReplaced) {
  const auto folder = TemporaryFolder::make("lock");
  ASSERT_TRUE(folder.ok());
  std::ofstream(folder->path() / "node.lock") << std::string(5000, 'x');
  const auto lock = NodeLock::take(folder->path());
  ASSERT_TRUE(lock.ok()) << lock.error().message;
  EXPECT_EQ((*lock_holder(folder->path()))->pid, ::getpid());
  const auto content = read_file(folder->path() / "node.lock", mebibytes(1));
  EXPECT_EQ(content->find('x'), std::string::npos);
}

TEST(NodeLock, LookingNeverKeepsANodeFromStarting) {
  const auto folder = TemporaryFolder::make("lock");
  ASSERT_TRUE(folder.ok());
  ASSERT_TRUE(NodeLock::take(folder->path()).ok());
  std::atomic<bool> done{false};
  std::vector<std::thread> watchers;
  for (int i = 0; i < 3; ++i) {
    watchers.emplace_back([&]() {
      while (!done) EXPECT_TRUE(lock_holder(folder->path()).ok());
    });
  }
  for (int i = 0; i < 50; ++i) {
    const auto lock = NodeLock::take(folder->path());
    EXPECT_TRUE(lock.ok()) << lock.error().message;
  }
  done = true;
  for (std::thread& watcher : watchers) watcher.join();
}

TEST(NodeLock, TextGoesThereAndBackAndGarbageIsAnUnknownHolder) {
  const LockHolder holder{1234, 1764013783};
  EXPECT_EQ(lock_holder_from(to_text(holder)), holder);
  for (const char* garbage : {"", "1234", "x y", "-1 5", "1 2 3", "99999999999999999999 1", "12 0"})
    EXPECT_EQ(lock_holder_from(garbage), LockHolder{}) << garbage;
  EXPECT_EQ(describe({}), "an unknown process");
  EXPECT_EQ(describe(holder).rfind("process 1234, since 2025-11-2", 0), 0U) << describe(holder);
}

}  // namespace
}  // namespace caravan::app
