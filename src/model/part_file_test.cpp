#include "model/part_file.h"

#include <fstream>

#include <gmock/gmock.h>

namespace caravan::model {
namespace {

using ::testing::HasSubstr;

class PartFileTest : public ::testing::Test {
 protected:
  fs::path target() const { return folder_->path() / "models" / "x.gguf"; }
  fs::path part() const { return target().string() + ".part"; }
  static std::string content_of(const fs::path& path) { return *read_file(path, Bytes{1000}); }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
};

TEST_F(PartFileTest, GetsItsNameOnlyWhenCommitted) {
  auto file = PartFile::open(target());
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_TRUE(file->append("abc").ok());
  EXPECT_FALSE(fs::exists(target()));
  std::ofstream(file->notes_path()) << "{}";
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(content_of(target()), "abc");
  EXPECT_FALSE(fs::exists(part()));
  EXPECT_FALSE(fs::exists(file->notes_path()));
  EXPECT_EQ(file->sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
      << "FIPS 180-2, B.1";
}

TEST_F(PartFileTest, StaysForTheNextRunWithItsHash) {
  {
    auto file = PartFile::open(target());
    ASSERT_TRUE(file->append("ab").ok());
  }
  auto file = PartFile::open(target());
  EXPECT_EQ(file->size(), Bytes{2});
  ASSERT_TRUE(file->hash_what_is_there({}).ok());
  ASSERT_TRUE(file->append("c").ok());
  EXPECT_EQ(file->sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(PartFileTest, RestartForgetsContentAndHash) {
  auto file = PartFile::open(target());
  ASSERT_TRUE(file->append("something else").ok());
  ASSERT_TRUE(file->restart().ok());
  ASSERT_TRUE(file->append("abc").ok());
  EXPECT_EQ(file->sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(content_of(part()), "abc");
}

TEST_F(PartFileTest, OneAtATime) {
  auto first = PartFile::open(target());
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(PartFile::open(target()).error().code, Code::unavailable);
  first->discard();
  EXPECT_FALSE(fs::exists(part()));
  EXPECT_TRUE(PartFile::open(target()).ok());
}

TEST_F(PartFileTest, DiscardingTwiceDoesNotTouchTheNextOne) {
  auto first = PartFile::open(target());
  first->discard();
  auto second = PartFile::open(target());
  ASSERT_TRUE(second->append("x").ok());
  first->discard();
  EXPECT_TRUE(fs::exists(part()));
}

TEST_F(PartFileTest, AnEmptyPartIsNotLeftBehind) {
  { auto file = PartFile::open(target()); }
  EXPECT_FALSE(fs::exists(part()));
}

TEST_F(PartFileTest, HashingCanBeCancelled) {
  auto file = PartFile::open(target());
  ASSERT_TRUE(file->append("abc").ok());
  EXPECT_EQ(file->hash_what_is_there({nullptr, [] { return true; }}).error().code, Code::interrupted);
}

TEST_F(PartFileTest, SpaceIsCheckedWithRoomToSpare) {
  EXPECT_TRUE(check_space(folder_->path(), Bytes{1}).ok());
  const auto much = check_space(folder_->path() / "not" / "yet", Bytes{1ULL << 60U});
  EXPECT_EQ(much.error().code, Code::exhausted);
  EXPECT_THAT(much.error().hint, HasSubstr("free "));
}

}  // namespace
}  // namespace caravan::model
