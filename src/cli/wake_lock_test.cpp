#include "cli/wake_lock.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

/// A folder of programs that write down that they were run.
class FakePrograms {
 public:
  FakePrograms() : folder_(std::move(*TemporaryFolder::make("programs"))) {}

  void add(const std::string& name, int exit_code = 0) {
    const fs::path program = folder_.path() / name;
    std::ofstream(program) << "#!/bin/sh\necho " << name << " >> " << (folder_.path() / "said").string()
                           << "\nexit " << exit_code << "\n";
    ASSERT_EQ(::chmod(program.c_str(), 0700), 0);
  }
  std::string said() const {
    const auto text = read_file(folder_.path() / "said", mebibytes(1));
    return text ? *text : "";
  }
  std::vector<fs::path> folders() const { return {"/nowhere", folder_.path()}; }

 private:
  TemporaryFolder folder_;
};

TEST(WakeLock, IsTakenAndGivenBackOnce) {
  FakePrograms programs;
  programs.add("termux-wake-lock");
  programs.add("termux-wake-unlock");
  {
    WakeLock lock = WakeLock::take(programs.folders());
    EXPECT_TRUE(lock.held());
    EXPECT_FALSE(lock.error());
    EXPECT_EQ(programs.said(), "termux-wake-lock\n");
    const WakeLock moved = std::move(lock);
    EXPECT_TRUE(moved.held());
  }
  EXPECT_EQ(programs.said(), "termux-wake-lock\ntermux-wake-unlock\n");
}

TEST(WakeLock, WithoutTermuxThereIsNothingToHoldAndNothingWrong) {
  FakePrograms programs;
  programs.add("termux-wake-unlock");
  {
    const WakeLock lock = WakeLock::take(programs.folders());
    EXPECT_FALSE(lock.held());
    EXPECT_FALSE(lock.error());
  }
  EXPECT_EQ(programs.said(), "");
}

TEST(WakeLock, AProgramThatFailsIsAnErrorAndNotHeld) {
  FakePrograms programs;
  programs.add("termux-wake-lock", 1);
  programs.add("termux-wake-unlock");
  {
    const WakeLock lock = WakeLock::take(programs.folders());
    EXPECT_FALSE(lock.held());
    ASSERT_TRUE(lock.error());
    EXPECT_NE(lock.error()->message.find("termux-wake-lock"), std::string::npos);
  }
  EXPECT_EQ(programs.said(), "termux-wake-lock\n");
}

std::vector<std::string> names_of(const std::vector<doctor::Diagnosis>& diagnoses) {
  std::vector<std::string> names;
  for (const doctor::Diagnosis& one : diagnoses) names.push_back(one.name);
  return names;
}

TEST(AndroidDangers, WhatIsWellIsNotTold) {
  using doctor::Status;
  const std::vector<doctor::Diagnosis> all{{"a", doctor::ok("fine")},
                                           {"b", {Status::problem, "kills", "", {}}},
                                           {"c", doctor::skipped("not here")},
                                           {"d", {Status::warning, "perhaps", "", {}}},
                                           {"wake-lock", {Status::note, "hidden", "", {}}}};
  EXPECT_EQ(names_of(worth_telling(all, true)), (std::vector<std::string>{"b", "d"}));
  EXPECT_EQ(names_of(worth_telling(all, false)), (std::vector<std::string>{"b", "d", "wake-lock"}));
}

TEST(AndroidDangers, NothingOutsideOfTermux) {
  const auto folder = TemporaryFolder::make("root");
  ASSERT_TRUE(folder.ok());
  device::SystemView system;
  system.root = folder->path();
  EXPECT_TRUE(android_dangers(system, false).empty());
}

TEST(AndroidDangers, InTermuxTheDoctorsWordsAreTold) {
  const auto folder = TemporaryFolder::make("root");
  ASSERT_TRUE(folder.ok());
  for (const char* path : {"system/bin", "data/data/com.termux/files/usr"})
    fs::create_directories(folder->path() / path);
  std::ofstream(folder->path() / "system/bin/app_process64") << "x";
  device::SystemView system;
  system.root = folder->path();
  const auto names = names_of(android_dangers(system, true));
  EXPECT_NE(std::find(names.begin(), names.end(), "phantom-processes"), names.end());
  EXPECT_EQ(std::find(names.begin(), names.end(), "wake-lock"), names.end());
}

}  // namespace
}  // namespace caravan::cli
