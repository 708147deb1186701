#include "device/cgroup.h"

#include <gmock/gmock.h>

#include "device/fixture.h"

namespace caravan::device {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

void write(const fs::path& path, std::string_view text) {
  ASSERT_TRUE(make_private_folder(path.parent_path()).ok());
  ASSERT_TRUE(write_file_atomically(path, text).ok());
}

TEST(Cgroup, Memberships) {
  const auto both = parse_cgroup_memberships("4:memory:/a\n3:cpu,cpuacct:/b\n1:name=systemd:/\n0::/c:d\n");
  ASSERT_EQ(both.size(), 4U);
  EXPECT_EQ(both[0].version, 1);
  EXPECT_THAT(both[1].controllers, ElementsAre("cpu", "cpuacct"));
  EXPECT_EQ(both[3].version, 2);
  EXPECT_EQ(both[3].path, "/c:d");
  EXPECT_THAT(parse_cgroup_memberships(""), IsEmpty());
  EXPECT_THAT(parse_cgroup_memberships("::\n:\nx\n0:\n0::relative\n"), IsEmpty());
}

TEST(Cgroup, Mounts) {
  const auto mounts = parse_cgroup_mounts(
      "24 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
      "31 27 0:27 / /sys/fs/my\\040group rw shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate\n"
      "35 32 0:30 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].version, 2);
  EXPECT_EQ(mounts[0].point, "/sys/fs/my group");
  EXPECT_EQ(mounts[1].version, 1);
  EXPECT_EQ(mounts[1].root, "/docker/x");
  EXPECT_THAT(mounts[1].controllers, ElementsAre("rw", "memory"));
  for (const char* text :
       {"", "-", "- cgroup2", "1 2 3 - cgroup2 x rw", "1 2 3 4 5 6 - cgroup2", "\\", "\\04"}) {
    EXPECT_THAT(parse_cgroup_mounts(text), IsEmpty()) << text;
  }
}

TEST(Cgroup, Limits) {
  EXPECT_EQ(parse_cgroup_limit("2147483648\n"), Bytes{2147483648U});
  EXPECT_EQ(parse_cgroup_limit("0\n"), Bytes{0});
  for (const char* none : {"max\n", "-1", "9223372036854771712", "", "12 34", "99999999999999999999999"}) {
    EXPECT_FALSE(parse_cgroup_limit(none)) << none;
  }
  EXPECT_EQ(parse_memory_stat("anon 1\ninactive_file 4096\n", "inactive_file"), Bytes{4096});
  EXPECT_FALSE(parse_memory_stat("total_inactive_file 4096\n", "inactive_file"));
  EXPECT_DOUBLE_EQ(*parse_cpu_max("150000 100000\n"), 1.5);
  for (const char* none : {"max 100000", "-1 100000", "0 100000", "1 0", "", "1", "1 2 3"}) {
    EXPECT_FALSE(parse_cpu_max(none)) << none;
  }
}

TEST(Cgroup, TheTightestOfAllParentsCounts) {
  const fs::path root = fixture_folder("container-cgroup-v2");
  const auto memory = read_cgroup_memory(root);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->limit, mebibytes(2048));
  EXPECT_EQ(memory->used, mebibytes(700));
  EXPECT_EQ(memory->reclaimable, mebibytes(200));
  EXPECT_EQ(memory->room(), mebibytes(1548));
  EXPECT_DOUBLE_EQ(*read_cpu_quota(root), 3.5);
}

TEST(Cgroup, Version1WithTheLimitInAParentThatIsNotMounted) {
  const fs::path root = fixture_folder("container-cgroup-v1");
  const auto memory = read_cgroup_memory(root);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->version, 1);
  EXPECT_EQ(memory->limit, mebibytes(1024));
  EXPECT_EQ(memory->room(), mebibytes(1024 - 300 + 100));
  EXPECT_DOUBLE_EQ(*read_cpu_quota(root), 1.5);
}

TEST(Cgroup, HighIsALimitAndMaxIsNone) {
  const auto folder = TemporaryFolder::make("caravan-test");
  const fs::path& root = folder->path();
  EXPECT_FALSE(read_cgroup_memory(root));
  write(root / "proc/self/cgroup", "0::/a/b\n");
  write(root / "proc/self/mountinfo", "1 2 0:1 / /cg rw - cgroup2 cgroup2 rw\n");
  write(root / "cg/a/memory.max", "max\n");
  write(root / "cg/a/memory.current", "1048576\n");
  EXPECT_FALSE(read_cgroup_memory(root));
  write(root / "cg/a/memory.high", "4194304\n");
  ASSERT_TRUE(read_cgroup_memory(root));
  EXPECT_EQ(read_cgroup_memory(root)->room(), mebibytes(3));
  write(root / "cg/a/b/memory.max", "2097152\n");
  write(root / "cg/a/b/memory.current", "1048576\n");
  EXPECT_EQ(read_cgroup_memory(root)->room(), mebibytes(1));
}

TEST(Cgroup, AGroupOutsideOfTheMountIsReadAtTheMount) {
  const auto folder = TemporaryFolder::make("caravan-test");
  const fs::path& root = folder->path();
  write(root / "proc/self/mountinfo", "1 2 0:1 /inside /cg rw - cgroup2 cgroup2 rw\n");
  write(root / "cg/memory.max", "2097152\n");
  write(root / "cg/memory.current", "0\n");
  for (const char* path :
       {"0::/../../other\n", "0::/elsewhere\n", "0::/insider\n", "0::/inside\n", "0::/\n"}) {
    write(root / "proc/self/cgroup", path);
    ASSERT_TRUE(read_cgroup_memory(root)) << path;
    EXPECT_EQ(read_cgroup_memory(root)->limit, mebibytes(2)) << path;
  }
}

}  // namespace
}  // namespace caravan::device
