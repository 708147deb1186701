#include "link/membership_store.h"

#include <sys/stat.h>

#include <gmock/gmock.h>

#include "link/testing.h"

namespace caravan::link {
namespace {

using ::testing::HasSubstr;

class MembershipStore : public ::testing::Test {
 protected:
  TemporaryFolder folder = std::move(TemporaryFolder::make("membership-test")).value();
  fs::path file = folder.path() / "membership.json";
  Membership membership = *Membership::create(test_identity(1), "home", "a", 1'700'000'000);
};

TEST_F(MembershipStore, NothingWhenThereIsNone) {
  const auto loaded = load_membership(folder.path() / "absent");
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE(loaded.value().has_value());
}

TEST_F(MembershipStore, ComesBackAsItWas) {
  ASSERT_TRUE(save_membership(folder.path(), membership).ok());
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  const auto loaded = load_membership(folder.path());
  ASSERT_TRUE(loaded.ok() && loaded.value());
  EXPECT_EQ(loaded.value()->summary(), membership.summary());
}

TEST_F(MembershipStore, BrokenFilesAreNamedAndLeftAlone) {
  ASSERT_TRUE(save_membership(folder.path(), membership).ok());
  const std::string good = *read_file(file, Bytes{kMaxDocumentBytes});
  std::string flipped = good;
  flipped[good.find("home")] = 'H';
  for (const std::string& bad : {std::string(), good.substr(0, good.size() / 2), flipped}) {
    ASSERT_TRUE(write_file_atomically(file, bad).ok());
    const auto loaded = load_membership(folder.path());
    ASSERT_FALSE(loaded.ok());
    EXPECT_THAT(loaded.error().message, HasSubstr("membership.json"));
    EXPECT_FALSE(loaded.error().hint.empty());
    EXPECT_EQ(*read_file(file, Bytes{kMaxDocumentBytes}), bad);
  }
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_FALSE(load_membership(folder.path()).ok());
}

TEST_F(MembershipStore, RetiredOnesAreKeptAside) {
  ASSERT_TRUE(save_membership(folder.path(), membership).ok());
  ASSERT_TRUE(retire_membership(folder.path()).ok());
  EXPECT_FALSE(load_membership(folder.path()).value().has_value());
  EXPECT_TRUE(fs::exists(folder.path() / "membership.json.old"));
  EXPECT_TRUE(retire_membership(folder.path()).ok());
}

}  // namespace
}  // namespace caravan::link
