#include "fabric/store/tensor_store.h"

#include <fcntl.h>

#include <array>
#include <random>
#include <thread>

#include "fabric/store/store_testing.h"

namespace caravan::fabric {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(StoreTest, GivesBackWhatItWasGivenAlsoAfterARestart) {
  const std::string large = content_of(kLarge, 1);
  const std::string small = content_of(kSmall, 2);
  const std::string empty;
  {
    const auto store = open_store();
    EXPECT_FALSE(store->has(digest_of(large), kLarge));
    EXPECT_THAT(get(*store, large), HasSubstr("not in the store"));
    for (const auto& bytes : {large, small, empty}) put(*store, bytes);
    EXPECT_EQ(get(*store, large), large);
    EXPECT_EQ(get(*store, small), small);
    EXPECT_TRUE(store->flush().ok());
    EXPECT_TRUE(store->flush().ok()) << "nothing to do";
    EXPECT_EQ(store->stats().stored, 3U);
  }
  const auto store = open_store();
  for (const auto& bytes : {large, small, empty}) {
    EXPECT_TRUE(store->has(digest_of(bytes), bytes.size()));
    EXPECT_EQ(get(*store, bytes), bytes);
  }
  EXPECT_FALSE(store->has(digest_of(large), kLarge - 1)) << "another size is another tensor";
  EXPECT_FALSE(store->has(digest_of(small), kSmall + 1));
  std::string streamed;
  ASSERT_TRUE(store->stream(digest_of(large), kLarge, [&](std::uint64_t offset, std::string_view bytes) {
    ASSERT_EQ(offset, streamed.size());
    streamed += bytes;
  }));
  EXPECT_EQ(streamed, large);
  EXPECT_EQ(files_in(store_folder() / "packs").size(), 1U) << "small ones share a file";
  EXPECT_EQ(files_in(store_folder() / "files").size(), 1U);
  EXPECT_TRUE(files_in(store_folder() / "parts").empty());
}

TEST_F(StoreTest, ADamagedFileIsDroppedAndMissing) {
  const std::string large = content_of(kLarge, 1);
  const auto store = open_store();
  put(*store, large);
  const fs::path file = files_in(store_folder() / "files").front();
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(kLarge / 2).put('!');
  EXPECT_TRUE(store->has(digest_of(large), kLarge)) << "only reading tells";
  EXPECT_THAT(get(*store, large), HasSubstr("damaged"));
  EXPECT_FALSE(store->has(digest_of(large), kLarge));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(store->stats().damaged, 1U);
  put(*store, large);
  EXPECT_EQ(get(*store, large), large);
}

TEST_F(StoreTest, AFileThatIsTooShortIsMissingAndReplaced) {
  const std::string large = content_of(kLarge, 1);
  { put(*open_store(), large); }
  fs::resize_file(files_in(store_folder() / "files").front(), 100);  // as after a power cut
  const auto store = open_store();
  EXPECT_FALSE(store->has(digest_of(large), kLarge));
  put(*store, large);
  EXPECT_EQ(get(*store, large), large);
}

TEST_F(StoreTest, ADamagedPackGoesAsAWhole) {
  const std::string a = content_of(kSmall, 1);
  const std::string b = content_of(kSmall, 2);
  {
    const auto store = open_store();
    put(*store, a);
    put(*store, b);
  }
  const fs::path pack = files_in(store_folder() / "packs").front();
  std::string bytes = bytes_of(pack);
  bytes[bytes.find(a) + 7] ^= 1;
  write_bytes(pack, bytes);
  const auto store = open_store();
  EXPECT_THAT(get(*store, a), HasSubstr("damaged"));
  EXPECT_FALSE(store->has(digest_of(a), kSmall));
  EXPECT_FALSE(store->has(digest_of(b), kSmall));
  put(*store, a);
  EXPECT_EQ(get(*store, a), a);
}

TEST_F(StoreTest, OwnPackCanBeDamagedToo) {
  const std::string a = content_of(kSmall, 1);
  const auto store = open_store();
  put(*store, a);
  const fs::path pack = files_in(store_folder() / "packs").front();
  write_bytes(pack, "");
  EXPECT_THAT(get(*store, a), StartsWith("error"));
  put(*store, a);
  EXPECT_EQ(get(*store, a), a);
}

TEST_F(StoreTest, APackThatWasCutKeepsWhatIsWhole) {
  const std::string a = content_of(kSmall, 1);
  const std::string b = content_of(kSmall, 2);
  {
    const auto store = open_store();
    put(*store, a);
    put(*store, b);
  }
  const fs::path pack = files_in(store_folder() / "packs").front();
  fs::resize_file(pack, fs::file_size(pack) - 1);
  const auto store = open_store();
  EXPECT_EQ(get(*store, a), a);
  EXPECT_FALSE(store->has(digest_of(b), kSmall));
}

TEST_F(StoreTest, RemovesTheLongestUnusedWhenTheLimitIsReached) {
  const std::string old = content_of(kLarge, 1);
  const std::string recent = content_of(kLarge, 2);
  const std::string small = content_of(kSmall, 3);
  {
    const auto store = open_store();
    for (const auto& bytes : {old, recent, small}) put(*store, bytes);
  }
  age(store_folder() / "files" / hex(digest_of(old)), std::chrono::hours(50));
  age(store_folder() / "files" / hex(digest_of(recent)), std::chrono::hours(5));
  age(files_in(store_folder() / "packs").front(), std::chrono::hours(60));
  const auto store = open_store(mebibytes(7));
  EXPECT_TRUE(store->has(digest_of(small), kSmall)) << "that is a use: it goes no more";
  const std::string next = content_of(kLarge, 4);
  put(*store, next);
  EXPECT_FALSE(store->has(digest_of(old), kLarge));
  EXPECT_TRUE(store->has(digest_of(recent), kLarge));
  EXPECT_TRUE(store->has(digest_of(small), kSmall));
  EXPECT_EQ(store->stats().pruned, 1U);
}

TEST_F(StoreTest, AnotherProcesssPruningSparesWhatIsInUse) {
  const std::string used = content_of(kLarge, 1);
  const std::string unused = content_of(kLarge, 2);
  const std::string small = content_of(kSmall, 3);
  const auto store = open_store();
  { put(*open_store(), unused); }  // by somebody who is gone
  for (const auto& bytes : {used, small}) put(*store, bytes);
  for (const auto& file : files_in(store_folder() / "files")) age(file, std::chrono::hours(50));
  const auto other = open_store(mebibytes(1));  // more is there: it prunes at once
  EXPECT_EQ(get(*store, used), used);
  EXPECT_EQ(get(*store, small), small);
  EXPECT_FALSE(store->has(digest_of(unused), kLarge));
  const std::string next = content_of(kLarge, 4);
  auto writer = other->begin(digest_of(next), kLarge, {});
  ASSERT_TRUE(writer.not_stored());
  EXPECT_EQ(writer.not_stored()->code, Code::exhausted);
  EXPECT_EQ(get(*store, used), used);
}

TEST_F(StoreTest, APackOfSomebodyWhoIsGoneIsSparedWhileItIsUsed) {
  const std::string small = content_of(kSmall, 1);
  { put(*open_store(), small); }
  const auto store = open_store();
  EXPECT_TRUE(store->has(digest_of(small), kSmall));
  { const auto other = open_store(Bytes{1}); }
  EXPECT_EQ(get(*store, small), small);
}

TEST_F(StoreTest, SessionsOfDeadProcessesProtectNothing) {
  const std::string large = content_of(kLarge, 1);
  EXPECT_EQ(in_child([&] {
              put(*open_store().release(), large);  // nothing is cleaned up
              return 0;
            }),
            0);
  EXPECT_EQ(files_in(store_folder() / "sessions").size(), 1U);
  const auto store = open_store(mebibytes(1));
  EXPECT_FALSE(store->has(digest_of(large), kLarge));
  EXPECT_EQ(files_in(store_folder() / "sessions").size(), 1U) << "ours; the dead one's is gone";
}

TEST_F(StoreTest, WhatTheOtherPrunedIsMissing) {
  const std::string a = content_of(kSmall, 1);
  { put(*open_store(), a); }
  const auto store = open_store();  // has read the list of the pack, uses nothing
  const auto other = open_store(Bytes{1});
  EXPECT_FALSE(store->has(digest_of(a), kSmall));
  put(*store, a);
  EXPECT_EQ(get(*store, a), a);
}

TEST_F(StoreTest, SeesLargeTensorsThatAnotherProcessStored) {
  const std::string large = content_of(kLarge, 1);
  const auto store = open_store();
  put(*open_store(), large);
  EXPECT_EQ(get(*store, large), large);
}

TEST_F(StoreTest, KeepsSpaceFreeOnTheDisk) {
  StoreLimits limits;
  limits.keep_free = Bytes{1ULL << 60U};
  const auto store = TensorStore::open(store_folder(), limits);
  ASSERT_TRUE(store.ok());
  for (const std::string& bytes : {content_of(kLarge, 1), content_of(kSmall, 2)}) {
    auto writer = (*store)->begin(digest_of(bytes), bytes.size(), {});
    ASSERT_TRUE(writer.not_stored());
    EXPECT_THAT(writer.not_stored()->message, HasSubstr("no room"));
    EXPECT_TRUE(writer.append(bytes));
    EXPECT_TRUE(writer.finish()) << "verified all the same";
    EXPECT_FALSE((*store)->has(digest_of(bytes), bytes.size()));
  }
  EXPECT_EQ((*store)->stats().unstored, 2U);
}

TEST_F(StoreTest, ManyThreadsAtOnce) {
  const auto store = open_store();
  std::vector<std::string> contents;
  for (char i = 0; i < 24; ++i) contents.push_back(content_of(i % 3 == 0 ? kMaxPacked + 100 : kSmall, i));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < contents.size(); ++i) {
        const std::string& bytes = contents[(i + t * 6) % contents.size()];
        if (store->has(digest_of(bytes), bytes.size())) {
          EXPECT_EQ(get(*store, bytes), bytes);
          continue;
        }
        auto writer = store->begin(digest_of(bytes), bytes.size(), {});  // another may be storing it
        EXPECT_TRUE(writer.append(std::string_view(bytes).substr(writer.offset())));
        EXPECT_TRUE(writer.finish());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& bytes : contents) EXPECT_EQ(get(*store, bytes), bytes);
  EXPECT_EQ(store->stats().damaged, 0U);
}

TEST_F(StoreTest, APackThatAnotherProcessDroppedIsNotWrittenTo) {
  const std::string a = content_of(kSmall, 1);
  const std::string b = content_of(kSmall, 2);
  const auto store = open_store();
  put(*store, a);
  fs::remove(files_in(store_folder() / "packs").front());
  put(*store, b);
  EXPECT_EQ(get(*store, b), b);
  EXPECT_FALSE(store->has(digest_of(a), kSmall));
}

/// Three processes take and give the same tensors, in a store that is too small for all of them, and prune
/// each other's. Each must only ever see right bytes.
TEST_F(StoreTest, SeveralProcessesPruneAndStoreAtOnce) {
  const auto work = [this](unsigned seed) {
    std::mt19937 random(seed);
    for (int round = 0; round < 4; ++round) {
      const auto store = open_store(mebibytes(6));
      if (!store) return 1;
      for (int i = 0; i < 15; ++i) {
        const auto number = static_cast<char>(random() % 12);
        const std::string bytes = content_of(number % 3 == 0 ? kMaxPacked + 5000 : kSmall, number);
        const Digest hash = digest_of(bytes);
        if (store->has(hash, bytes.size())) {
          if (get(*store, bytes) != bytes) return 2;
          continue;
        }
        auto writer = store->begin(hash, bytes.size(), {});
        const bool stop = random() % 4 == 0;
        const std::size_t end =
            stop ? std::max<std::size_t>(writer.offset(), bytes.size() / 2) : bytes.size();
        if (!writer.append(std::string_view(bytes).substr(writer.offset(), end - writer.offset()))) return 3;
        if (!stop && !writer.finish()) return 4;
      }
      if (store->stats().damaged > 0) return 5;
    }
    return 0;
  };
  std::array<int, 3> results{-1, -1, -1};
  std::vector<pid_t> children;
  for (unsigned i = 0; i < results.size(); ++i)
    children.push_back(start_child([&work, i] { return work(i); }));
  for (std::size_t i = 0; i < results.size(); ++i) results.at(i) = end_of(children.at(i));
  EXPECT_THAT(results, ::testing::Each(0));
  EXPECT_LE(open_store(mebibytes(6))->used(), mebibytes(6));
}

/// As after SIGSTOP in the wrong moment: it goes on, without the store.
TEST_F(StoreTest, AProcessThatHoldsTheLockForEverStopsNobody) {
  const std::string small = content_of(kSmall, 1);
  const auto store = open_store(mebibytes(64), std::chrono::milliseconds(5));
  put(*store, small);
  const Descriptor lock(::open((store_folder() / "lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(try_lock(lock.get()));
  EXPECT_FALSE(store->has(digest_of(small), kSmall));
  for (const std::size_t size : {kLarge, kSmall}) {
    const std::string bytes = content_of(size, 3);
    auto writer = store->begin(digest_of(bytes), size, {});
    ASSERT_TRUE(writer.append(bytes));
    ASSERT_TRUE(writer.finish());
    ASSERT_TRUE(writer.not_stored());
    EXPECT_THAT(writer.not_stored()->message, HasSubstr("holds the lock"));
  }
  StoreLimits limits;
  limits.lock_patience = std::chrono::milliseconds(5);
  EXPECT_EQ(TensorStore::open(store_folder(), limits).error().code, Code::unavailable);
}

TEST_F(StoreTest, AFolderThatCannotBeMadeIsAnError) {
  write_bytes(folder() / "file", "x");
  const auto store = TensorStore::open(folder() / "file" / "store", {});
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(store.error().message, HasSubstr("the store of weights at"));
}

TEST_F(StoreTest, ForeignFilesInItsFolderDoNoHarm) {
  { const auto store = open_store(); }
  write_bytes(store_folder() / "files" / "notes.txt", "hello");
  write_bytes(store_folder() / "packs" / "x.pack", std::string(1000, '\xff'));
  write_bytes(store_folder() / "sessions" / "odd", "123");
  fs::create_directory(store_folder() / "files" / "folder");
  const auto store = open_store();
  const std::string small = content_of(kSmall, 1);
  put(*store, small);
  EXPECT_EQ(get(*store, small), small);
}

}  // namespace
}  // namespace caravan::fabric
