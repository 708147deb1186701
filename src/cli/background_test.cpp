#include "cli/background.h"

#include <unistd.h>

#include <gmock/gmock.h>

namespace caravan::cli {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;

TEST(Background, ANodeIsStartedAgainAsItWas) {
  EXPECT_THAT(words_to_start_again("/usr/bin/caravan\0up\0--started-by-up\0--port\0"
                                   "8081\0--name\0my tab\0"s),
              ElementsAre("up", "--started-by-up", "--port", "8081", "--name", "my tab"));
  EXPECT_THAT(words_to_start_again("caravan\0up\0-d\0--json\0--memory=2G\0"s),
              ElementsAre("up", "--started-by-up", "--memory=2G"));
  EXPECT_THAT(words_to_start_again("/system/bin/linker64\0/data/caravan\0up\0"s),
              ElementsAre("up", "--started-by-up"));
  EXPECT_THAT(words_to_start_again("caravan\0up\0--name\0\0"s),
              ElementsAre("up", "--started-by-up", "--name", ""))
      << "an empty word is a word";
}

TEST(Background, AnOptionIsTakenOutOfTheWords) {
  std::vector<std::string> words{"up", "--names", "x", "--name", "my tab", "--memory=2G"};
  EXPECT_EQ(take_option(words, "--name"), "my tab");
  EXPECT_THAT(words, ElementsAre("up", "--names", "x", "--memory=2G"));
  EXPECT_EQ(take_option(words, "--memory"), "2G");
  EXPECT_EQ(take_option(words, "--name"), std::nullopt);
  EXPECT_THAT(words, ElementsAre("up", "--names", "x"));
  words.emplace_back("--name");
  EXPECT_EQ(take_option(words, "--name"), std::nullopt) << "its value is missing";
}

TEST(Background, WhatIsNoNodesCommandLineStartsAPlainOne) {
  EXPECT_THAT(words_to_start_again(""), ElementsAre("up", "--started-by-up"));
  EXPECT_THAT(words_to_start_again("sh\0-c\0true\0"s), ElementsAre("up", "--started-by-up"));
  EXPECT_THAT(words_of_node(::getpid()), ElementsAre("up", "--started-by-up")) << "this test is none";
}

}  // namespace
}  // namespace caravan::cli
