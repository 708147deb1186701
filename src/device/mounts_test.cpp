#include "device/mounts.h"

#include <gmock/gmock.h>

namespace caravan::device {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kPhone =
    "20 1 253:5 / / ro,nodev,relatime - ext4 /dev/block/dm-5 ro,seclabel\n"
    "90 20 254:9 / /data rw,nosuid,nodev,noatime shared:44 - f2fs /dev/block/dm-9 rw,lazytime\n"
    "97 20 0:45 / /storage/emulated rw,nosuid,nodev,noexec,noatime master:17 - fuse /dev/fuse rw,user_id=0\n";

TEST(Mounts, OfAPhone) {
  const auto mounts = parse_mounts(kPhone);
  ASSERT_EQ(mounts.size(), 3U);
  EXPECT_EQ(mount_of(mounts, "/data/data/com.termux/files/home")->type, "f2fs");
  EXPECT_EQ(mount_of(mounts, "/database")->type, "ext4");
  const auto shared = mount_of(mounts, "/storage/emulated/0/models");
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->type, "fuse");
  EXPECT_TRUE(shared->has_option("noexec"));
  EXPECT_FALSE(mount_of(mounts, "/data")->has_option("noexec"));
  EXPECT_THAT(mounts[1].super_options, ElementsAre("rw", "lazytime"));
}

TEST(Mounts, TheLastOneOfAPlaceCovers) {
  const auto mounts = parse_mounts("1 0 8:1 / /a\\040b rw - ext4 x rw\n2 1 0:3 / /a\\040b ro - tmpfs y ro\n");
  EXPECT_EQ(mount_of(mounts, "/a b/c")->type, "tmpfs");
  EXPECT_FALSE(mount_of(mounts, "/elsewhere"));
}

TEST(Mounts, NoiseIsLeftOut) {
  for (const char* text : {"", "-", "- ext4", "1 2 3 4 5 - ext4 x rw", "1 2 3 4 5 6 - ext4", "\\", "\\04"}) {
    EXPECT_THAT(parse_mounts(text), IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace caravan::device
