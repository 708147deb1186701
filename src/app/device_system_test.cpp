#include "app/device_system.h"

#include <fstream>

#include <gmock/gmock.h>

#include "device/facts.h"

namespace caravan::app {
namespace {

using ::testing::HasSubstr;

class Helpers : public ::testing::Test {
 protected:
  void program(const std::string& name, const std::string& script) {
    const fs::path path = folder_->path() / name;
    std::ofstream(path) << "#!/bin/sh\n" << script;
    fs::permissions(path, fs::perms::owner_all);
  }
  Result<std::string> run(const std::vector<std::string>& arguments,
                          std::chrono::milliseconds deadline = std::chrono::seconds(60)) {
    return run_helper({folder_->path() / "missing", folder_->path()}, arguments, deadline);
  }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
};

TEST_F(Helpers, GiveBackWhatTheyPrint) {
  program("say", "echo \"{$1}\"\nprintf last\n");
  const auto said = run({"say", "a b; echo c"});
  ASSERT_TRUE(said.ok()) << said.error().message;
  EXPECT_EQ(*said, "{a b; echo c}\nlast\n");
}

TEST_F(Helpers, SayHowTheyFailed) {
  const auto missing = run({"not-there"});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("not-there is not installed"));

  std::ofstream(folder_->path() / "not-executable") << "x";
  EXPECT_EQ(run({"not-executable"}).error().code, Code::not_found);

  program("fail", "echo half\nexit 3\n");
  const auto failed = run({"fail"});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, Code::invalid);
  EXPECT_EQ(failed.error().message, "fail failed: exit code 3");
}

TEST_F(Helpers, AreKilledAtTheirDeadline) {
  program("hang", "exec sleep 3600\n");
  const auto hung = run({"hang"}, std::chrono::milliseconds(50));
  ASSERT_FALSE(hung.ok());
  EXPECT_EQ(hung.error().code, Code::unavailable);
}

TEST_F(Helpers, AreFoundForTheDevicesFacts) {
  const device::SystemView view = this_system(folder_->path());
  ASSERT_TRUE(view.run);
  const auto listed = view.run({"true"}, std::chrono::seconds(60));
  ASSERT_TRUE(listed.ok()) << listed.error().message;
  EXPECT_EQ(*listed, "");
  EXPECT_TRUE(view.free_space(folder_->path()).ok());
}

}  // namespace
}  // namespace caravan::app
