#include "engine/engine_log.h"

#include <gmock/gmock.h>

#include "engine/testing.h"

namespace caravan::engine {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class EngineLogTest : public testing::Test {
 protected:
  std::string content(const std::string& suffix = "") const {
    return *read_file(path_.string() + suffix, mebibytes(1));
  }
  TemporaryFolder folder_ = TemporaryFolder::make("caravan-log-test").value();
  fs::path path_ = folder_.path() / "engine.log";
};

TEST_F(EngineLogTest, WritesLines) {
  EngineLog log(path_);
  log.write_line("one");
  log.write_line("");
  log.write_line("two");
  EXPECT_EQ(content(), "one\n\ntwo\n");
}

TEST_F(EngineLogTest, KeepsTheLogOfTheRunBefore) {
  EngineLog(path_).write_line("first");
  EngineLog(path_).write_line("second");
  EXPECT_EQ(content(), "second\n");
  EXPECT_EQ(content(".old"), "first\n");
}

TEST_F(EngineLogTest, IsBoundedAndKeepsBothEnds) {
  constexpr std::uint64_t kLimit = 2000;
  EngineLog log(path_, kLimit);
  for (int i = 0; i < 10'000; ++i) {
    log.write_line("line " + std::to_string(i));
    ASSERT_LE(fs::file_size(path_), kLimit + 100);
  }
  EXPECT_THAT(content(), StartsWith("line 0\nline 1\n"));
  EXPECT_THAT(content(), HasSubstr("... lines were left out here ...\n"));
  EXPECT_THAT(content(), EndsWith("line 9999\n"));
}

TEST_F(EngineLogTest, WhatCannotBeWrittenIsNoReasonToStop) {
  EngineLog(path_ / "not" / "a" / "folder").write_line("x");
  EngineLog("").write_line("x");
  EXPECT_FALSE(fs::exists(path_));
}

}  // namespace
}  // namespace caravan::engine
