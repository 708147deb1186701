#include "doctor/storage_checks.h"

#include <gmock/gmock.h>

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

Place place(const std::string& folder, std::uint64_t free_mib, const std::string& type = "ext4") {
  return {folder, mebibytes(free_mib), {}, device::Mount{"/", "/", {"rw"}, type, {"rw"}}};
}

StorageState healthy() {
  return {place("/home/me/.caravan", 20000), place("/home/me/.cache/caravan", 20000), place("/tmp", 1000)};
}

TEST(StorageChecks, AHealthyDevice) {
  for (const auto check :
       {storage_for_models, storage_for_work, home_writable, home_filesystem, programs_may_run}) {
    EXPECT_EQ(check(healthy()).status, Status::ok) << check(healthy()).found;
  }
  EXPECT_EQ(disk_speed(DiskSpeed{200e6, 900e6}).status, Status::ok);
}

TEST(StorageChecks, LittleRoom) {
  StorageState state = healthy();
  state.home.free = mebibytes(3000);
  EXPECT_EQ(storage_for_models(state).status, Status::warning);
  state.home.free = mebibytes(100);
  EXPECT_EQ(storage_for_models(state).status, Status::problem);
  EXPECT_THAT(storage_for_models(state).cure, Contains(HasSubstr("caravan models rm")));
  state.temporary.free = mebibytes(20);
  EXPECT_EQ(storage_for_work(state).status, Status::problem);
  EXPECT_THAT(storage_for_work(state).found, HasSubstr("/tmp"));
}

TEST(StorageChecks, UnsuitableFileSystems) {
  StorageState state = healthy();
  state.home.mount->type = "exfat";
  EXPECT_EQ(home_filesystem(state).status, Status::problem);
  EXPECT_THAT(home_filesystem(state).found, HasSubstr("exfat"));
  state.home.mount->type = "tmpfs";
  EXPECT_EQ(home_filesystem(state).status, Status::warning);
  state = healthy();
  state.home.folder = "/sdcard/caravan";
  state.home.mount.reset();
  EXPECT_EQ(home_filesystem(state).status, Status::problem);
  state.home.folder = "/storageroom/caravan";
  EXPECT_EQ(home_filesystem(state).status, Status::skipped);
}

TEST(StorageChecks, NoProgramsMayRun) {
  StorageState state = healthy();
  state.cache.mount->options.emplace_back("noexec");
  EXPECT_EQ(programs_may_run(state).status, Status::problem);
  EXPECT_THAT(programs_may_run(state).cure, Contains(HasSubstr("remount,exec")));
}

TEST(StorageChecks, AFolderThatReallyCannotBeMade) {
  const auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  ASSERT_TRUE(write_file_atomically(folder->path() / "file", "in the way").ok());
  StorageState state = healthy();
  state.home.folder = folder->path() / "file" / ".caravan";
  state.home.writable = try_to_write(state.home.folder);
  EXPECT_EQ(home_writable(state).status, Status::problem);
  EXPECT_THAT(home_writable(state).found, HasSubstr("file"));
  EXPECT_THAT(home_writable(state).cure, Contains(HasSubstr("CARAVAN_HOME=")));
  // One that is not there yet is fine, and nothing is left of the attempt.
  EXPECT_TRUE(try_to_write(folder->path() / "new" / "home").ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder->path()), fs::directory_iterator()), 1);
}

TEST(StorageChecks, TheFileSystemIsFoundThroughLinks) {
  const auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const fs::path real = fs::canonical(folder->path());
  fs::create_directories(real / "card");
  fs::create_directory_symlink(real / "card", real / "link");
  ASSERT_TRUE(make_private_folder(real / "root/proc/self").ok());
  const std::string mounts =
      "1 0 8:1 / / rw - ext4 x rw\n2 1 8:2 / " + (real / "card").string() + " rw,noexec - vfat y rw\n";
  ASSERT_TRUE(write_file_atomically(real / "root/proc/self/mountinfo", mounts).ok());
  const StorageState state =
      read_storage_state(real / "root", {real / "link" / "caravan", real / "link", real});
  EXPECT_THAT(home_filesystem(state).found, HasSubstr("vfat"));
  EXPECT_EQ(programs_may_run(state).status, Status::problem);
  EXPECT_EQ(state.temporary.mount->type, "ext4");
}

TEST(StorageChecks, ASlowDisk) {
  EXPECT_EQ(disk_speed(DiskSpeed{5e6, 900e6}).status, Status::warning);
  EXPECT_EQ(disk_speed(DiskSpeed{200e6, 20e6}).status, Status::warning);
  EXPECT_THAT(disk_speed(DiskSpeed{200e6, 20e6}).why, HasSubstr("3 min 20 s"));
  EXPECT_EQ(disk_speed(Error{Code::exhausted, "too little room to measure it", ""}).status, Status::skipped);
}

TEST(StorageChecks, ADiskIsMeasuredAndLeftAsItWas) {
  const auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const auto speed = measure_disk(folder->path(), std::chrono::milliseconds(20));
  ASSERT_TRUE(speed.ok()) << speed.error().message;
  EXPECT_GT(speed->write, 0);
  EXPECT_GT(speed->read, 0);
  EXPECT_TRUE(fs::is_empty(folder->path()));
  EXPECT_FALSE(measure_disk(folder->path() / "missing", std::chrono::milliseconds(1)).ok());
}

}  // namespace
}  // namespace caravan::doctor
