#include "gateway/prompt_prefix.h"

#include <string>

#include <gtest/gtest.h>

#include "gateway/openai_request.h"

namespace caravan::gateway {
namespace {

PromptPrefix prefix_of(std::initializer_list<std::string> pieces) {
  PromptHasher hasher;
  for (const std::string& piece : pieces) hasher.add(piece);
  return hasher.prefix();
}

PromptPrefix prefix_of_request(const std::string& body, Endpoint endpoint = Endpoint::chat) {
  const auto checked = check_generation_request(endpoint, body);
  EXPECT_TRUE(std::holds_alternative<GenerationRequest>(checked)) << body;
  const auto* request = std::get_if<GenerationRequest>(&checked);
  return request == nullptr ? PromptPrefix() : request->prompt;
}

TEST(PromptPrefix, WhatBeginsAlikeIsCountedInWholeBlocks) {
  const std::string shared(1000, 'a');
  const PromptPrefix one = prefix_of({shared + std::string(600, 'b')});
  const PromptPrefix two = prefix_of({shared + std::string(600, 'c')});
  EXPECT_EQ(one.bytes, 1601U);
  EXPECT_EQ(one.shared_with(two), 768U);
  EXPECT_EQ(two.shared_with(one), 768U);
  EXPECT_EQ(one.shared_with(one), 1536U);
  EXPECT_EQ(one.shared_with(PromptPrefix()), 0U);
}

TEST(PromptPrefix, TheSameTextLaterOnIsNoSharedBeginning) {
  const std::string text(512, 'a');
  EXPECT_EQ(prefix_of({"x" + text}).shared_with(prefix_of({"y" + text})), 0U);
}

TEST(PromptPrefix, PiecesAreKeptApart) {
  const std::string rest(512, 'r');
  EXPECT_EQ(prefix_of({"ab", "c", rest}).shared_with(prefix_of({"a", "bc", rest})), 0U);
}

TEST(PromptPrefix, IsBounded) {
  const PromptPrefix huge = prefix_of({std::string(1U << 20U, 'a')});
  EXPECT_EQ(huge.blocks.size(), PromptPrefix::kMostBlocks);
  EXPECT_EQ(huge.bytes, (1U << 20U) + 1);
}

TEST(PromptPrefix, AConversationThatGoesOnBeginsAsItDid) {
  const std::string first = R"({"role":"user","content":")" + std::string(600, 'q') + R"("})";
  const std::string rest = R"(,{"role":"assistant","content":"A"},{"role":"user","content":"and?"})";
  const PromptPrefix before = prefix_of_request(R"({"temperature":0,"messages":[)" + first + "]}");
  const PromptPrefix after =
      prefix_of_request(R"({"messages":[)" + first + rest + R"(],"temperature":1,"user":"someone"})");
  EXPECT_EQ(after.shared_with(before), 512U);
  EXPECT_GT(after.bytes, before.bytes);
  const PromptPrefix other =
      prefix_of_request(R"({"messages":[{"role":"system","content":"be brief"},)" + first + "]}");
  EXPECT_EQ(other.shared_with(before), 0U);
}

TEST(PromptPrefix, PartsOfAMessageCountAndTheLastFieldOfANameWins) {
  const std::string text(600, 't');
  const std::string parts =
      R"({"messages":[{"role":"user","content":[{"type":"text","text":")" + text + R"("}]}]})";
  EXPECT_GE(prefix_of_request(parts).bytes, 600U);
  const std::string twice =
      R"({"messages":[{"role":"user","content":"x"}],"messages":[{"role":"user","content":")" + text +
      R"("}]})";
  const std::string once = R"({"messages":[{"role":"user","content":")" + text + R"("}]})";
  EXPECT_EQ(prefix_of_request(twice).blocks, prefix_of_request(once).blocks);
}

TEST(PromptPrefix, OfACompletionIsItsPrompt) {
  const std::string text(600, 't');
  const PromptPrefix prefix =
      prefix_of_request(R"({"prompt":")" + text + R"(","stop":"x"})", Endpoint::completion);
  EXPECT_EQ(prefix.blocks.size(), 2U);
  EXPECT_EQ(prefix.bytes, 601U);
}

}  // namespace
}  // namespace caravan::gateway
