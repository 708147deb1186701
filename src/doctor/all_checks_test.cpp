#include "doctor/all_checks.h"

#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "device/fixture.h"
#include "doctor/checkup.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// A device of the fixtures, with empty folders of its own.
class AllChecks : public ::testing::Test {
 protected:
  std::vector<Step> steps_of(const std::string& device) const {
    Surroundings around;
    around.system = device::fixture(device);
    // Ports are looked at for real: then of this machine only.
    around.system.addresses = []() -> Result<std::vector<device::Address>> {
      return std::vector<device::Address>{{"wlan0", "127.0.0.1", false}};
    };
    around.environment = [](const char*) { return std::nullopt; };
    around.engine = {.option = (folder_->path() / "no-engine").string()};
    around.models = {folder_->path() / "models", {}, {}};
    around.folders = {folder_->path(), folder_->path(), folder_->path()};
    return all_steps(around);
  }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
};

TEST_F(AllChecks, AreManyAndHaveNames) {
  std::set<std::string_view> names;
  const auto checks = checks_of(steps_of("tensor-g3"));
  for (const CheckInfo& check : checks) {
    EXPECT_TRUE(names.insert(check.name).second) << check.name << " is there twice";
    EXPECT_THAT(std::string(check.name), ContainsRegex("^[a-z][a-z0-9-]*$"));
    EXPECT_THAT(check.what, Not(IsEmpty()));
  }
  EXPECT_GE(checks.size(), 25U);
}

TEST_F(AllChecks, AllTogetherTakeLessThanTwentySeconds) {
  for (const Step& step : steps_of("tensor-g3")) EXPECT_LT(step.limit, std::chrono::seconds(20));
}

/// On every kind of device: each check says something, and each trouble has its reason and cure.
TEST_F(AllChecks, RunOnEveryDevice) {
  for (const char* device : {"container-cgroup-v1", "hidden-android", "mediatek-helio-g85", "raspberry-pi-5",
                             "snapdragon-695", "snapdragon-8-gen-2", "tensor-g3", "x86-laptop"}) {
    const auto steps = steps_of(device);
    std::set<std::string> all;
    for (const CheckInfo& check : checks_of(steps)) all.insert(std::string(check.name));
    all.erase("disk-speed");  // takes two seconds, and is the same everywhere
    std::set<std::string> problems;
    const CheckupResult result = run_checkup(steps, all, [&](const Diagnosis& one) {
      const bool trouble = one.finding.status != Status::ok && one.finding.status != Status::skipped;
      EXPECT_THAT(one.finding.found, Not(IsEmpty())) << one.name;
      EXPECT_EQ(trouble, !one.finding.why.empty()) << one.name;
      EXPECT_EQ(trouble, !one.finding.cure.empty()) << one.name;
      EXPECT_THAT(one.finding.found, Not(HasSubstr("not known: the check"))) << one.name;
      if (one.finding.status == Status::problem) problems.insert(one.name);
    });
    EXPECT_EQ(result.tally.all(), static_cast<int>(all.size())) << device;
    EXPECT_THAT(problems, Contains("engine-found")) << device;
    EXPECT_FALSE(result.hangs);
  }
}

/// The page that explains them names each, and no others.
TEST_F(AllChecks, AreAllInTheDocumentation) {
  const auto page = read_file(fs::path(CARAVAN_SOURCE_DIR) / "docs/doctor.md", mebibytes(1));
  ASSERT_TRUE(page.ok());
  const auto checks = checks_of(steps_of("tensor-g3"));
  std::size_t rows = 0;
  for (std::size_t at = page->find("\n| `"); at != std::string::npos; at = page->find("\n| `", at + 1))
    ++rows;
  EXPECT_EQ(rows, checks.size());
  for (const CheckInfo& check : checks) EXPECT_THAT(*page, HasSubstr(fmt::format("\n| `{}` |", check.name)));
}

}  // namespace
}  // namespace caravan::doctor
