#include "cli/chat_stream.h"

#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

TEST(TakeChunk, CollectsTextUsageAndRates) {
  ChatResult result;
  EXPECT_EQ(*take_chunk(R"({"choices":[{"delta":{"role":"assistant","content":null},"finish_reason":null}]})",
                        result),
            "");
  EXPECT_EQ(*take_chunk(R"({"choices":[{"delta":{"content":"Par"}}]})", result), "Par");
  EXPECT_EQ(*take_chunk(R"({"choices":[{"delta":{"content":"is"},"finish_reason":null}]})", result), "is");
  EXPECT_EQ(*take_chunk(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})", result), "");
  EXPECT_EQ(*take_chunk(R"({"choices":[],"usage":{"prompt_tokens":42,"completion_tokens":8},
                            "timings":{"prompt_per_second":134.5,"predicted_per_second":51}})",
                        result),
            "");
  EXPECT_EQ(result.text, "Paris");
  EXPECT_EQ(result.finish_reason, "stop");
  EXPECT_EQ(result.prompt_tokens, 42U);
  EXPECT_EQ(result.completion_tokens, 8U);
  EXPECT_DOUBLE_EQ(result.prompt_tokens_per_second, 134.5);
  EXPECT_DOUBLE_EQ(result.tokens_per_second, 51);
}

TEST(TakeChunk, AnErrorEventIsAnError) {
  ChatResult result;
  const auto taken = take_chunk(R"({"error":{"message":"a worker was lost","code":502}})", result);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().message, "a worker was lost");
}

TEST(TakeChunk, RefusesWhatIsNoChunk) {
  for (const char* payload :
       {"", "{", "[]", R"({"choices":5})", R"({"choices":[{"delta":{"content":5}, "finish_reason":7}]})"}) {
    ChatResult result;
    EXPECT_FALSE(take_chunk(payload, result).ok()) << payload;
  }
}

}  // namespace
}  // namespace caravan::cli
