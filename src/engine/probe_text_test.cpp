#include "engine/probe_text.h"

#include <gmock/gmock.h>

namespace caravan::engine {
namespace {

using testing::ElementsAre;

TEST(ProbeText, Version) {
  const EngineVersion version = parse_version(
      "0.00.000.432 I srv  llama_server: initializing ...\nversion: 0.5.0-dev (build 1, commit de3ff81)\n"
      "built with GNU 12.2.0 for Linux x86_64\n");
  EXPECT_EQ(version.text, "0.5.0-dev (build 1, commit de3ff81)");
  EXPECT_EQ(version.commit, "de3ff81");
  EXPECT_EQ(version.compiler, "GNU 12.2.0 for Linux x86_64");
}

TEST(ProbeText, VersionOfAnOlderBuild) {
  const EngineVersion version = parse_version(
      "version: 4567 (abc1234)\nbuilt with cc (Debian 12.2.0-14) 12.2.0 for x86_64-linux-gnu\n");
  EXPECT_EQ(version.text, "4567 (abc1234)");
  EXPECT_EQ(version.commit, "abc1234");
  EXPECT_EQ(version.compiler, "cc (Debian 12.2.0-14) 12.2.0 for x86_64-linux-gnu");
}

TEST(ProbeText, NoVersion) {
  for (const char* text : {"", "version", "version: ", "version: )(", "version: ()", "usage: x"}) {
    EXPECT_EQ(parse_version(text).commit, "") << text;
  }
}

TEST(ProbeText, Features) {
  EXPECT_THAT(
      parse_features(
          "x\n0.0.1.2 I cmn  common_param: system_info: n_threads = 1 (n_threads_batch = 1) / 2 | CPU : "
          "NEON = 1 | SVE = 0 | DOTPROD = 1 | REPACK = 1 | Vulkan : NEON = 1 | \ny\n"),
      ElementsAre("NEON", "DOTPROD", "REPACK"));
  EXPECT_THAT(parse_features("nothing = 1 | here = 1"), ElementsAre());
}

TEST(ProbeText, Devices) {
  EXPECT_THAT(parse_devices("x: y\nAvailable devices:\n  RPC0: 127.0.0.1:50062 (24105 MiB, 24105 MiB free)\n"
                            "  Vulkan0: Adreno (TM) 740 (7000 MiB, 6000 MiB free)\n"),
              ElementsAre("RPC0", "Vulkan0"));
  EXPECT_THAT(
      parse_devices("Available devices:\n  RPC[127.0.0.1:50062]: RPC[127.0.0.1:50062] (2 MiB, 2 MiB free)\n"),
      ElementsAre("RPC[127.0.0.1:50062]"));
  EXPECT_THAT(parse_devices("Available devices:\n  (none)\n"), ElementsAre());
}

}  // namespace
}  // namespace caravan::engine
