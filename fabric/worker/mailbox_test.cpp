#include "fabric/worker/mailbox.h"

#include <thread>

#include <gtest/gtest.h>

namespace caravan::fabric::worker {
namespace {

constexpr ParcelName kName{1, 0, 7};

SteadyTime soon() { return std::chrono::steady_clock::now(); }
SteadyTime late() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }

HandOff chunk(std::uint64_t total, std::uint64_t offset, std::string_view data) {
  return {kName.tag, total, offset, Format::as_is, data};
}

TEST(FabricMailbox, AParcelIsThereWhenItIsWhole) {
  Mailbox mailbox{{100, 10}};
  mailbox.open(1);
  ASSERT_TRUE(mailbox.put(kName, chunk(5, 0, "ab")).ok());
  EXPECT_EQ(mailbox.take(kName, soon()).error().code, Code::unavailable);
  ASSERT_TRUE(mailbox.put(kName, chunk(5, 2, "cde")).ok());
  EXPECT_EQ(mailbox.take(kName, soon())->bytes, "abcde");
  EXPECT_EQ(mailbox.held(), 0U);
  EXPECT_FALSE(mailbox.take(kName, soon()).ok());
}

TEST(FabricMailbox, WhoTakesWaits) {
  Mailbox mailbox{{100, 10}};
  mailbox.open(1);
  std::thread giver([&mailbox] { (void)mailbox.put(kName, chunk(2, 0, "ab")); });
  EXPECT_EQ(mailbox.take(kName, late())->bytes, "ab");
  giver.join();
}

TEST(FabricMailbox, EmptyParcelsArrive) {
  Mailbox mailbox{{100, 10}};
  mailbox.open(1);
  ASSERT_TRUE(mailbox.put(kName, chunk(0, 0, "")).ok());
  EXPECT_EQ(mailbox.take(kName, soon())->bytes, "");
}

TEST(FabricMailbox, ChunksOutOfOrderAndTagsInUseAreRefused) {
  Mailbox mailbox{{100, 10}};
  EXPECT_FALSE(mailbox.put(kName, chunk(5, 2, "cde")).ok());
  ASSERT_TRUE(mailbox.put(kName, chunk(5, 0, "ab")).ok());
  EXPECT_FALSE(mailbox.put(kName, chunk(5, 0, "ab")).ok());
  EXPECT_FALSE(mailbox.put(kName, chunk(6, 2, "cde")).ok());
  ASSERT_TRUE(mailbox.put(kName, chunk(5, 2, "cde")).ok());
  EXPECT_FALSE(mailbox.put(kName, chunk(5, 5, "")).ok());
}

TEST(FabricMailbox, WhoGivesWaitsForRoom) {
  Mailbox mailbox{{4, 10}};
  mailbox.open(1);
  ASSERT_TRUE(mailbox.put(kName, chunk(4, 0, "abcd")).ok());
  EXPECT_EQ(mailbox.put({1, 0, 8}, {8, 5, 0, Format::as_is, "abcde"}).error().code, Code::exhausted);
  Result<void> given;
  std::thread giver([&] { given = mailbox.put({1, 0, 8}, {8, 3, 0, Format::as_is, "efg"}); });
  EXPECT_EQ(mailbox.take(kName, late())->bytes, "abcd");
  EXPECT_EQ(mailbox.take({1, 0, 8}, late())->bytes, "efg");
  giver.join();
  EXPECT_TRUE(given.ok());
}

TEST(FabricMailbox, TheEndOfTheMasterWakesEverybody) {
  Mailbox mailbox{{4, 10}};
  mailbox.open(1);
  ASSERT_TRUE(mailbox.put({1, 0, 8}, {8, 4, 0, Format::as_is, "full"}).ok());
  Result<void> given;
  Result<Parcel> taken = Error{};
  std::thread giver([&] { given = mailbox.put(kName, chunk(2, 0, "ab")); });
  std::thread taker([&] { taken = mailbox.take({1, 0, 9}, late()); });
  // Whichever comes first: those that wait are woken, and those that come later find another session.
  while (mailbox.waiting() < 2) std::this_thread::yield();
  mailbox.close();
  giver.join();
  taker.join();
  EXPECT_EQ(given.error().code, Code::interrupted);
  EXPECT_EQ(taken.error().code, Code::interrupted);
  EXPECT_EQ(mailbox.held(), 0U);
}

TEST(FabricMailbox, NothingIsWaitedForThatCannotComeAnyMore) {
  Mailbox mailbox{{100, 10}};
  mailbox.open(1);
  ASSERT_TRUE(mailbox.put(kName, chunk(1, 0, "a")).ok());
  Result<Parcel> taken = Error{};
  std::thread taker([&] { taken = mailbox.take({1, 0, 9}, late()); });
  while (mailbox.waiting() < 1) std::this_thread::yield();
  mailbox.lose(1, 0);
  taker.join();
  EXPECT_EQ(taken.error().code, Code::disconnected);
  EXPECT_EQ(mailbox.take(kName, late())->bytes, "a") << "what is there is there";
  mailbox.open(2);
  EXPECT_EQ(mailbox.take({2, 0, 7}, soon()).error().code, Code::unavailable) << "another master's loss";
}

TEST(FabricMailbox, WhoComesAfterTheEndOfTheMasterDoesNotWait) {
  Mailbox mailbox{{4, 10}};
  mailbox.open(1);
  mailbox.close();
  EXPECT_EQ(mailbox.take(kName, late()).error().code, Code::interrupted);
  EXPECT_EQ(mailbox.take_directly(kName, late()).error().code, Code::interrupted);
}

TEST(FabricMailbox, SessionsAreKeptApart) {
  Mailbox mailbox{{100, 10}};
  ASSERT_TRUE(mailbox.put(kName, chunk(1, 0, "a")).ok());
  ASSERT_TRUE(mailbox.put({2, 0, 7}, chunk(1, 0, "b")).ok());
  mailbox.open(2);
  EXPECT_FALSE(mailbox.put(kName, chunk(1, 0, "a")).ok());
  EXPECT_EQ(mailbox.take({2, 0, 7}, soon())->bytes, "b");
  EXPECT_EQ(mailbox.held(), 0U);
}

}  // namespace
}  // namespace caravan::fabric::worker
