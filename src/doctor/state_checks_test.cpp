#include "doctor/state_checks.h"

#include <sys/stat.h>
#include <sys/time.h>

#include <gmock/gmock.h>

namespace caravan::doctor {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr WallTime kNow{seconds(1'800'000'000)};  // 2027-01-15

class Secrets : public ::testing::Test {
 protected:
  void key(const fs::path& path, unsigned mode) {
    ASSERT_TRUE(make_private_folder(path.parent_path()).ok());
    ASSERT_TRUE(write_file_atomically(path, "a key").ok());
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  }
  Finding finding() const { return identity_private(read_secret_state(home_)); }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
  fs::path home_ = folder_->path() / "home";
};

TEST_F(Secrets, APrivateKey) {
  EXPECT_EQ(finding().status, Status::skipped);
  key(home_ / "device.key", 0600);
  EXPECT_EQ(finding().status, Status::ok);
}

TEST_F(Secrets, AKeyThatOthersMayRead) {
  key(home_ / "device.key", 0600);
  key(home_ / "node" / "device.key", 0640);
  EXPECT_EQ(finding().status, Status::problem);
  EXPECT_THAT(finding().found, HasSubstr("node/device.key can be used by others (mode 0640)"));
  EXPECT_THAT(finding().cure, Contains(HasSubstr("chmod 600 ")));
}

TEST_F(Secrets, AFolderThatOthersMayWrite) {
  key(home_ / "device.key", 0600);
  ASSERT_EQ(::chmod(home_.c_str(), 0777), 0);
  EXPECT_EQ(finding().status, Status::problem);
  EXPECT_THAT(finding().cure, Contains(HasSubstr("chmod go-w")));
}

TEST_F(Secrets, AKeyOfSomebodyElse) {
  const Finding other = identity_private({home_, {{home_ / "device.key", 0600, false}}, std::nullopt});
  EXPECT_EQ(other.status, Status::problem);
  EXPECT_THAT(other.found, HasSubstr("another user"));
}

TEST(ClockChecks, ARightClock) {
  EXPECT_EQ(clock_right({kNow, kNow - hours(1), "/x"}).status, Status::ok);
  EXPECT_EQ(clock_right({kNow, kNow + hours(23), "/x"}).status, Status::ok);
  EXPECT_THAT(clock_right({kNow, {}, ""}).found, HasSubstr("2027-01-15 08:00 UTC"));
}

TEST(ClockChecks, AWrongClock) {
  EXPECT_EQ(clock_right({WallTime(seconds(5)), {}, ""}).status, Status::problem);
  EXPECT_THAT(clock_right({WallTime(seconds(5)), {}, ""}).found, HasSubstr("1970-01-01"));
  EXPECT_EQ(clock_right({kNow + hours(24 * 365 * 30), {}, ""}).status, Status::problem);
  const Finding behind = clock_right({kNow, kNow + hours(24 * 30), "/home/me/.caravan/speed.json"});
  EXPECT_EQ(behind.status, Status::problem);
  EXPECT_THAT(behind.found, HasSubstr("speed.json was written 2027-02-14"));
  EXPECT_THAT(behind.cure, Contains(HasSubstr("set-ntp true")));
}

TEST(ClockChecks, AFileFromTheFuture) {
  const auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  EXPECT_EQ(clock_right(read_clock_state(folder->path(), "/proc/self/exe")).status, Status::ok);
  const fs::path file = folder->path() / "state.json";
  ASSERT_TRUE(write_file_atomically(file, "{}").ok());
  timeval future[2]{};
  for (timeval& time : future)
    time.tv_sec = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()) + 864000;
  ASSERT_EQ(::utimes(file.c_str(), future), 0);
  const Finding finding = clock_right(read_clock_state(folder->path(), "/proc/self/exe"));
  EXPECT_EQ(finding.status, Status::problem);
  EXPECT_THAT(finding.found, HasSubstr("state.json"));
}

}  // namespace
}  // namespace caravan::doctor
