#include "fabric/worker/options.h"

#include <gtest/gtest.h>

#include "base/files.h"

namespace caravan::fabric::worker {
namespace {

TEST(FabricWorkerOptions, AllOfThem) {
  const auto options = parse_options({"--listen",
                                      "127.0.0.1:1",
                                      "--peer-listen",
                                      "127.0.0.1:2",
                                      "--key-file",
                                      "k",
                                      "--threads",
                                      "3",
                                      "--memory",
                                      "5",
                                      "--hand-off-timeout",
                                      "7",
                                      "--any-address",
                                      "--store",
                                      "s",
                                      "--store-limit",
                                      "9",
                                      "--model",
                                      "a.gguf",
                                      "--model",
                                      "b.gguf",
                                      "--models",
                                      "folder"});
  ASSERT_TRUE(options.ok()) << options.error().message;
  EXPECT_EQ(options->listen, (std::vector<std::string>{"127.0.0.1:1", "127.0.0.1:2"}));
  EXPECT_EQ(options->key_file, "k");
  EXPECT_EQ(options->settings.threads, 3U);
  EXPECT_GE(options->settings.most_threads, 3U);
  EXPECT_EQ(options->settings.memory_limit, std::uint64_t{5} << 20U);
  EXPECT_EQ(options->settings.hand_off_time, Milliseconds(7000));
  EXPECT_EQ(options->settings.addresses, Addresses::any);
  EXPECT_EQ(options->store, "s");
  EXPECT_EQ(options->store_limit, std::uint64_t{9} << 20U);
  EXPECT_EQ(options->models, (std::vector<std::string>{"a.gguf", "b.gguf", "folder"}));
}

TEST(FabricWorkerOptions, MistakesAreNamed) {
  EXPECT_NE(parse_options({"--lisen", "x"}).error().hint.find("--listen"), std::string::npos);
  EXPECT_FALSE(parse_options({}).ok());
  EXPECT_FALSE(parse_options({"--listen"}).ok());
  EXPECT_FALSE(parse_options({"--listen", "x", "--threads", "0"}).ok());
  EXPECT_FALSE(parse_options({"--listen", "x", "--threads", "2x"}).ok());
  EXPECT_FALSE(parse_options({"--listen", "x", "--memory", "99999999999999999999"}).ok());
}

TEST(FabricWorkerOptions, HelpNamesEachOption) {
  EXPECT_TRUE(parse_options({"--help"})->help);
  for (const char* option :
       {"--listen", "--peer-listen", "--key-file", "--threads", "--memory", "--hand-off-timeout",
        "--any-address", "--store", "--store-limit", "--model", "--models"})
    EXPECT_NE(help_text().find(option), std::string::npos) << option;
}

TEST(FabricWorkerOptions, TheKeyComesFromTheFileOrTheEnvironment) {
  const std::string digits(64, 'a');
  Options options;
  EXPECT_FALSE(read_key(options, std::nullopt).ok());
  EXPECT_TRUE(read_key(options, digits).ok());
  EXPECT_FALSE(read_key(options, "aa").ok());
  const auto folder = TemporaryFolder::make("worker-key");
  ASSERT_TRUE(folder.ok());
  options.key_file = folder->path() / "key";
  EXPECT_FALSE(read_key(options, digits).ok()) << "the file is missing";
  ASSERT_TRUE(write_file_atomically(options.key_file, digits + "\n").ok());
  EXPECT_EQ(read_key(options, std::nullopt)->front(), 0xaa);
}

}  // namespace
}  // namespace caravan::fabric::worker
