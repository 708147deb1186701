#include "engine/flags.h"

#include <gmock/gmock.h>

#include "engine/testing.h"

namespace caravan::engine {
namespace {

using testing::ElementsAre;
using testing_support::recorded;

TEST(EngineFlags, OfLlamaServer) {
  const EngineFlags flags = EngineFlags::from_help(recorded("llama-server_help"));
  for (const char* flag :
       {"-m", "--model", "-fa", "--flash-attn", "--rpc", "-ngl", "--gpu-layers", "--n-gpu-layers", "--no-ui",
        "--no-slots", "--fim-qwen-1.5b-default", "--no-cache-idle-slots"}) {
    EXPECT_TRUE(flags.has(flag)) << flag;
  }
  for (const char* flag : {"--no-mmap", "", "-", "--", "- none", "on", "--no-mmproj"})
    EXPECT_FALSE(flags.has(flag)) << flag;
  for (const char* flag :
       {"--flash-attn", "--load-mode", "--rpc", "--log-verbosity", "--device", "--override-tensor"}) {
    EXPECT_TRUE(flags.takes_value(flag)) << flag;
  }
  for (const char* flag :
       {"--no-ui", "--offline", "--jinja", "--unknown", "--list-devices", "--fim-qwen-1.5b-default"}) {
    EXPECT_FALSE(flags.takes_value(flag)) << flag;
  }
}

TEST(EngineFlags, OfTheRpcServer) {
  const EngineFlags flags = EngineFlags::from_help(recorded("ggml-rpc-server_help"));
  EXPECT_THAT(flags.names(), ElementsAre("--cache", "--device", "--help", "--host", "--port", "--threads",
                                         "-H", "-c", "-d", "-h", "-p", "-t"));
  EXPECT_TRUE(flags.takes_value("--device"));
  EXPECT_FALSE(flags.takes_value("--cache"));
}

TEST(EngineFlags, OfAnOlderBuild) {
  const EngineFlags flags = EngineFlags::from_help(recorded("llama-server_help_older"));
  EXPECT_TRUE(flags.has("--flash-attn"));
  EXPECT_FALSE(flags.takes_value("--flash-attn"));
  EXPECT_EQ(flags.first_of({"--no-ui", "--no-webui"}), "--no-webui");
  EXPECT_EQ(flags.first_of({"--fit", "--load-mode"}), "");
}

TEST(EngineFlags, OfSomethingElse) {
  for (const char* text :
       {"", "\n\n", "no help here", "     --far-to-the-right", "-", "---", "--,--,--", "- -,"}) {
    EXPECT_THAT(EngineFlags::from_help(text).names(), ElementsAre()) << text;
  }
}

}  // namespace
}  // namespace caravan::engine
