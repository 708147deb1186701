#include "base/files.h"

#include <sys/stat.h>

#include <fstream>

#include <gmock/gmock.h>

namespace caravan {
namespace {

TEST(Files, AtomicWriteReplacesWithTheModeAskedFor) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const fs::path file = folder->path() / "state.json";
  ASSERT_TRUE(write_file_atomically(file, "one").ok());
  ASSERT_TRUE(write_file_atomically(file, "two").ok());
  EXPECT_EQ(*read_file(file, Bytes{10}), "two");
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder->path()), fs::directory_iterator()), 1)
      << "no temporary left";
}

TEST(Files, WriteIntoNothingSaysWhy) {
  const auto written = write_file_atomically("/nonexistent-folder/x", "y");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, Code::not_found);
}

TEST(Files, ReadHasALimit) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  std::ofstream(folder->path() / "big") << std::string(100, 'x');
  EXPECT_EQ(read_file(folder->path() / "big", Bytes{99}).error().code, Code::exhausted);
  EXPECT_EQ(read_file(folder->path() / "big", Bytes{100})->size(), 100U);
  EXPECT_EQ(read_file(folder->path() / "none", Bytes{100}).error().code, Code::not_found);
}

TEST(Files, TemporaryFolderGoesWithAllItHolds) {
  fs::path path;
  {
    auto folder = TemporaryFolder::make("caravan-test");
    ASSERT_TRUE(folder.ok());
    path = folder->path();
    ASSERT_TRUE(make_private_folder(path / "a" / "b").ok());
    ASSERT_TRUE(write_file_atomically(path / "a" / "b" / "c", "x").ok());
    EXPECT_TRUE(fs::exists(path / "a" / "b" / "c"));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(Files, APromisedFolderIsMadeByWhoeverNeedsIt) {
  fs::path path;
  {
    const TemporaryFolder folder = TemporaryFolder::promise("caravan-test");
    path = folder.path();
    EXPECT_NE(path, TemporaryFolder::promise("caravan-test").path());
    EXPECT_FALSE(fs::exists(path));
    ASSERT_TRUE(make_private_folder(path / "phone-1").ok());
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all) << "also what is above it";
    EXPECT_EQ(fs::status(path / "phone-1").permissions(), fs::perms::owner_all);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(Files, AFileWhereAFolderShouldBeIsRefused) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  ASSERT_TRUE(write_file_atomically(folder->path() / "file", "x").ok());
  for (const char* name : {"file", "file/below"}) {
    const auto made = make_private_folder(folder->path() / name);
    ASSERT_FALSE(made.ok()) << name;
    EXPECT_THAT(made.error().message, testing::HasSubstr("cannot make the folder"));
  }
}

TEST(Files, FreeSpaceLooksAtTheNearestParent) {
  const auto space = free_space(fs::temp_directory_path() / "not" / "there" / "yet");
  ASSERT_TRUE(space.ok()) << space.error().message;
  EXPECT_GT(space->count, 0U);
}

TEST(Files, FullDiskIsExhaustedAndHasACure) {
  const Error error = errno_error("cannot write x", ENOSPC);
  EXPECT_EQ(error.code, Code::exhausted);
  EXPECT_FALSE(error.hint.empty());
}

}  // namespace
}  // namespace caravan
