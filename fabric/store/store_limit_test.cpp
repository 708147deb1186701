#include "fabric/store/store_limit.h"

#include <gtest/gtest.h>

namespace caravan::fabric {
namespace {

TEST(StoreLimit, IsAQuarterOfTheRoomWhateverTheStoreTakesOfIt) {
  const auto folder = TemporaryFolder::make("share");
  ASSERT_TRUE(folder.ok());
  const auto missing = fair_share(folder->path() / "store");
  ASSERT_TRUE(missing.ok());
  const auto free = free_space(folder->path());
  ASSERT_TRUE(free.ok());
  EXPECT_LE(missing->count, free->count);
  // A file without bytes on the disk: what is free does not change, what the store has does.
  ASSERT_TRUE(make_private_folder(folder->path() / "store" / "files").ok());
  const fs::path file = folder->path() / "store" / "files" / "x";
  ASSERT_TRUE(write_file_atomically(file, "").ok());
  constexpr std::uint64_t kMuch = std::uint64_t{1} << 40U;
  fs::resize_file(file, kMuch);
  const auto with_it = fair_share(folder->path() / "store");
  ASSERT_TRUE(with_it.ok());
  EXPECT_GT(with_it->count, kMuch / 4);
  EXPECT_GT(with_it->count, missing->count);
}

}  // namespace
}  // namespace caravan::fabric
