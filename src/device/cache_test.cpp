#include "device/cache.h"

#include <gtest/gtest.h>

namespace caravan::device {
namespace {

void write(const fs::path& path, std::string_view content) {
  fs::create_directories(path.parent_path());
  ASSERT_TRUE(write_file_atomically(path, content).ok());
}

TEST(Cache, LargestOfAnyCore) {
  const auto root = TemporaryFolder::make("caravan-cache-test").value();
  const fs::path cpus = root.path() / "sys/devices/system/cpu";
  write(cpus / "cpu0/cache/index0/size", "64K\n");
  write(cpus / "cpu0/cache/index3/size", "4096K\n");
  write(cpus / "cpu7/cache/index2/size", "2M\n");
  write(cpus / "kernel_max/cache/index0/size", "9G\n");
  EXPECT_EQ(largest_cache(root.path()), mebibytes(4));
}

TEST(Cache, HiddenOrNonsenseIsUnknown) {
  const auto root = TemporaryFolder::make("caravan-cache-test").value();
  EXPECT_EQ(largest_cache(root.path()), std::nullopt);
  const fs::path cpus = root.path() / "sys/devices/system/cpu";
  write(cpus / "cpu0/cache/index0/size", "unknown\n");
  write(cpus / "cpu0/cache/index1/size", "");
  write(cpus / "cpu0/cache/index2/size", "999999999G");
  write(cpus / "cpu0/cache/index3/size", "0K");
  EXPECT_EQ(largest_cache(root.path()), std::nullopt);
}

TEST(Cache, PoolIsLargerThanTheCacheAndSmallerThanTheMemory) {
  EXPECT_EQ(measuring_pool(std::nullopt, mebibytes(4096)), mebibytes(64));
  EXPECT_EQ(measuring_pool(mebibytes(32), mebibytes(4096)), mebibytes(96));
  EXPECT_EQ(measuring_pool(mebibytes(512), mebibytes(4096)), mebibytes(256));
  EXPECT_EQ(measuring_pool(mebibytes(32), mebibytes(200)), mebibytes(50));
}

}  // namespace
}  // namespace caravan::device
