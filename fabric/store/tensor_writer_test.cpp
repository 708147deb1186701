#include "fabric/store/tensor_writer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "fabric/store/store_testing.h"

namespace caravan::fabric {
namespace {

using ::testing::HasSubstr;

class TensorWriterTest : public StoreTest {
 protected:
  const std::string large_ = content_of(kLarge, 1);
  const Digest hash_ = digest_of(large_);
};

TEST_F(TensorWriterTest, GoesOnWhereItWasCut) {
  const auto store = open_store();
  {
    auto writer = store->begin(hash_, kLarge, {});
    EXPECT_EQ(writer.offset(), 0U);
    ASSERT_TRUE(writer.append(std::string_view(large_).substr(0, 1'000'000)));
  }
  EXPECT_FALSE(store->has(hash_, kLarge)) << "half a tensor is none";
  std::string seen;
  auto writer = store->begin(hash_, kLarge, [&](std::uint64_t offset, std::string_view bytes) {
    ASSERT_EQ(offset, seen.size());
    seen += bytes;
  });
  ASSERT_EQ(writer.offset(), 1'000'000U);
  EXPECT_EQ(seen, large_.substr(0, 1'000'000)) << "who receives it needs the part that is there already";
  ASSERT_TRUE(writer.append(std::string_view(large_).substr(1'000'000)));
  ASSERT_TRUE(writer.finish());
  EXPECT_EQ(get(*store, large_), large_);
  EXPECT_TRUE(files_in(store_folder() / "parts").empty());
}

/// Each of the steps of a writer is the last one that a process does.
TEST_F(TensorWriterTest, SurvivesBeingKilledBetweenAnyTwoSteps) {
  for (int steps = 0; steps <= 5; ++steps) {
    const std::string bytes = content_of(kLarge, static_cast<char>(10 + steps));
    const Digest hash = digest_of(bytes);
    const int done = in_child([&] {
      auto* store = open_store().release();
      if (steps == 0) return 0;
      auto* writer = new TensorWriter(store->begin(hash, kLarge, {}));
      if (steps >= 2) (void)writer->append(std::string_view(bytes).substr(0, kLarge / 2));
      if (steps >= 3) (void)writer->append(std::string_view(bytes).substr(kLarge / 2));
      if (steps >= 4) (void)writer->finish();
      if (steps >= 5) (void)store->flush();
      return steps;
    });
    ASSERT_EQ(done, steps);
    const auto store = open_store();
    EXPECT_EQ(store->has(hash, kLarge), steps >= 4);
    auto writer = store->begin(hash, kLarge, {});
    ASSERT_FALSE(writer.not_stored()) << writer.not_stored()->message;
    const std::uint64_t there = steps == 2 ? kLarge / 2 : (steps == 3 ? kLarge : 0);
    EXPECT_EQ(writer.offset(), there) << steps;
    ASSERT_TRUE(writer.append(std::string_view(bytes).substr(writer.offset())));
    ASSERT_TRUE(writer.finish()) << steps;
    EXPECT_EQ(get(*store, bytes), bytes);
  }
}

/// A process that stores one tensor after the other is killed at some moment; what the store says it has is
/// right.
TEST_F(TensorWriterTest, SurvivesBeingKilledAtAnyMoment) {
  std::vector<std::string> contents;
  for (char i = 0; i < 30; ++i) contents.push_back(content_of(i % 5 == 0 ? kMaxPacked + 1000 : kSmall, i));
  std::size_t seen = 0;
  for (unsigned round = 0; round < 12; ++round) {
    std::array<int, 2> steps{};
    ASSERT_EQ(::pipe(steps.data()), 0);
    const pid_t child = start_child([&] {
      const auto store = open_store();
      for (std::size_t i = round; i < contents.size(); ++i) {
        if (::write(steps[1], "", 1) != 1) return 2;
        auto writer = store->begin(digest_of(contents[i]), contents[i].size(), {});
        (void)writer.append(std::string_view(contents[i]).substr(writer.offset()));
        if (!writer.finish()) return 1;
      }
      return 0;
    });
    ::close(steps[1]);
    char step = 0;
    for (unsigned seen_steps = 0; seen_steps < 1 + round * 2; ++seen_steps) {
      if (::read(steps[0], &step, 1) != 1) break;
    }
    ::kill(child, SIGKILL);  // somewhere in the step that it is at
    ::close(steps[0]);
    EXPECT_NE(end_of(child), 1) << "a part was damaged";
    const auto store = open_store();
    for (const std::string& bytes : contents) {
      if (!store->has(digest_of(bytes), bytes.size())) continue;
      ASSERT_EQ(get(*store, bytes), bytes);
      ++seen;
    }
  }
  EXPECT_GT(seen, 0U);
}

TEST_F(TensorWriterTest, WhatIsNotTheContentIsNeverStored) {
  const auto store = open_store();
  for (const std::size_t size : {kLarge, kSmall}) {
    const Digest hash = digest_of(content_of(size, 1));
    auto writer = store->begin(hash, size, {});
    ASSERT_TRUE(writer.append(content_of(size, 2)));
    const auto finished = writer.finish();
    ASSERT_FALSE(finished.ok());
    EXPECT_EQ(finished.error().code, Code::incompatible);
    EXPECT_FALSE(store->has(hash, size));
    EXPECT_EQ(store->begin(hash, size, {}).offset(), 0U) << "begins anew";
  }
}

TEST_F(TensorWriterTest, APartThatWasDamagedStartsAnew) {
  const auto store = open_store();
  {
    auto writer = store->begin(hash_, kLarge, {});
    ASSERT_TRUE(writer.append(std::string_view(large_).substr(0, 500'000)));
  }
  std::fstream(store_folder() / "parts" / hex(hash_), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(100)
      .put('!');
  {
    auto writer = store->begin(hash_, kLarge, {});
    ASSERT_EQ(writer.offset(), 500'000U);
    ASSERT_TRUE(writer.append(std::string_view(large_).substr(500'000)));
    EXPECT_EQ(writer.finish().error().code, Code::incompatible);
  }
  put(*store, large_);
  EXPECT_EQ(get(*store, large_), large_);
}

TEST_F(TensorWriterTest, APartThatIsTooLongStartsAnew) {
  { const auto store = open_store(); }
  write_bytes(store_folder() / "parts" / hex(hash_), large_ + "x");
  const auto store = open_store();
  put(*store, large_);
  EXPECT_EQ(get(*store, large_), large_);
}

TEST_F(TensorWriterTest, TakesNoMoreAndNoLessThanTheTensor) {
  const auto store = open_store();
  auto writer = store->begin(hash_, kLarge, {});
  EXPECT_EQ(writer.append(large_ + "x").error().code, Code::invalid);
  ASSERT_TRUE(writer.append(std::string_view(large_).substr(0, 10)));
  EXPECT_EQ(writer.finish().error().code, Code::invalid);
  ASSERT_TRUE(writer.append(std::string_view(large_).substr(10)));
  ASSERT_TRUE(writer.finish());
}

TEST_F(TensorWriterTest, OneStoresTheOtherOnlyVerifies) {
  const auto store = open_store();
  const auto other_store = open_store();
  auto first = store->begin(hash_, kLarge, {});
  for (TensorStore* each : {store.get(), other_store.get()}) {
    auto second = each->begin(hash_, kLarge, {});
    ASSERT_TRUE(second.not_stored());
    EXPECT_EQ(second.not_stored()->code, Code::unavailable);
    ASSERT_TRUE(second.append(large_));
    ASSERT_TRUE(second.finish());
  }
  ASSERT_TRUE(first.append(large_));
  ASSERT_TRUE(first.finish());
  EXPECT_EQ(get(*other_store, large_), large_);
}

TEST_F(TensorWriterTest, AnEmptyPartLeavesNothing) {
  const auto store = open_store();
  { auto writer = store->begin(hash_, kLarge, {}); }
  EXPECT_TRUE(files_in(store_folder() / "parts").empty());
}

/// A limit on the size of files stands for a disk that is full: the write fails in the middle.
TEST_F(TensorWriterTest, GoesOnWithoutStoringWhenTheDiskIsFull) {
  const int result = in_child([&] {
    const auto store = open_store();
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{std::size_t{1} << 20U, std::size_t{1} << 20U};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    auto writer = store->begin(hash_, kLarge, {});
    if (writer.not_stored()) return 3;
    if (!writer.append(std::string_view(large_).substr(0, kLarge / 2))) return 4;
    if (!writer.not_stored()) return 5;
    if (!writer.append(std::string_view(large_).substr(kLarge / 2)) || !writer.finish()) return 6;
    if (!files_in(store_folder() / "parts").empty()) return 7;
    // the pack has room for one of these only
    for (char i = 0; i < 2; ++i) {
      const std::string bytes = content_of(700'000, i);
      auto small = store->begin(digest_of(bytes), bytes.size(), {});
      if (!small.append(bytes) || !small.finish()) return 8;
      if (small.not_stored().has_value() != (i == 1)) return 9;
      if (store->has(digest_of(bytes), bytes.size()) != (i == 0)) return 10;
      if (i == 0 && get(*store, bytes) != bytes) return 11;
    }
    if (fs::file_size(files_in(store_folder() / "packs").front()) > 700'100)
      return 12;  // nothing of the other
    return store->stats().unstored == 2 ? 0 : 13;
  });
  EXPECT_EQ(result, 0);
}

TEST_F(TensorWriterTest, WithoutAStoreItVerifies) {
  TensorWriter writer(hash_, kLarge, Error{Code::not_found, "no store", ""});
  EXPECT_EQ(writer.offset(), 0U);
  ASSERT_TRUE(writer.append(large_));
  EXPECT_TRUE(writer.finish());
  EXPECT_THAT(writer.not_stored()->message, HasSubstr("no store"));
  TensorWriter wrong(hash_, kSmall, Error{Code::not_found, "no store", ""});
  ASSERT_TRUE(wrong.append(content_of(kSmall, 9)));
  EXPECT_EQ(wrong.finish().error().code, Code::incompatible);
}

}  // namespace
}  // namespace caravan::fabric
