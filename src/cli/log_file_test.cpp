#include "cli/log_file.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

class LogFileTest : public ::testing::Test {
 protected:
  void write(const std::string& text, std::ios::openmode mode = std::ios::app) const {
    std::ofstream(path(), mode) << text;
  }
  fs::path path() const { return folder_.path() / "node.log"; }

 private:
  TemporaryFolder folder_ = std::move(*TemporaryFolder::make("log"));
};

TEST(LastLines, BeginWhereTheyShould) {
  const auto last = [](const std::string& text, std::size_t lines) {
    return text.substr(begin_of_last_lines(text, lines));
  };
  EXPECT_EQ(last("a\nb\nc\n", 2), "b\nc\n");
  EXPECT_EQ(last("a\nb\nc", 2), "b\nc");
  EXPECT_EQ(last("a\nb\n", 9), "a\nb\n");
  EXPECT_EQ(last("\n\n\n", 2), "\n\n");
  EXPECT_EQ(last("a\n", 0), "");
  EXPECT_EQ(last("", 3), "");
}

TEST_F(LogFileTest, LongOnesAreReadFromTheirEnd) {
  std::string text;
  for (int i = 0; i < 40000; ++i) text += "line " + std::to_string(i) + "\n";
  write(text);
  LogFile log(path());
  EXPECT_EQ(*log.last_lines(2), "line 39998\nline 39999\n");
  EXPECT_EQ(log.more(), "");
  LogFile all(path());
  EXPECT_EQ(*all.last_lines(1000000), text);
  LogFile many(path());
  const std::string last = *many.last_lines(20000);
  EXPECT_EQ(last, text.substr(text.find("line 20000\n")));
}

TEST_F(LogFileTest, WhatComesAfterIsGivenOnce) {
  LogFile log(path());
  EXPECT_EQ(*log.last_lines(5), "") << "a file that may come";
  EXPECT_EQ(log.more(), "");
  write("one\n");
  EXPECT_EQ(log.more(), "one\n");
  EXPECT_EQ(log.more(), "");
  write("tw");
  write("o\n");
  EXPECT_EQ(log.more(), "two\n");
}

TEST_F(LogFileTest, NothingIsLostWhenAnotherFileTakesItsPlace) {
  write("old\n");
  LogFile log(path());
  EXPECT_EQ(*log.last_lines(5), "old\n");
  write("rest\n");
  fs::rename(path(), path().string() + ".1");
  EXPECT_EQ(log.more(), "rest\n") << "the new one is not there yet";
  std::ofstream(path().string() + ".1", std::ios::app) << "very last\n";
  write("new\n");
  EXPECT_EQ(log.more(), "very last\nnew\n");
  write("newer\n");
  EXPECT_EQ(log.more(), "newer\n");
}

TEST_F(LogFileTest, AShortenedOneGoesOnAtItsNewEnd) {
  write("a\nb\nc\n");
  LogFile log(path());
  EXPECT_EQ(*log.last_lines(1), "c\n");
  fs::resize_file(path(), 2);
  EXPECT_EQ(log.more(), "");
  write("d\n");
  EXPECT_EQ(log.more(), "d\n");
}

TEST_F(LogFileTest, WhatCannotBeReadIsAnError) {
  fs::create_directory(path());
  LogFile inside(path() / "x" / "node.log");
  EXPECT_TRUE(inside.last_lines(1).ok());
  write("x", std::ios::trunc);
  std::ofstream(path().parent_path() / "file") << "x";
  LogFile below_a_file(path().parent_path() / "file" / "node.log");
  const auto text = below_a_file.last_lines(1);
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.error().message.find("cannot read"), std::string::npos);
}

}  // namespace
}  // namespace caravan::cli
