#include "cli/conversation.h"

#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

using Kind = Input::Kind;

TEST(ChatInput, CommandsAndWhatIsSaid) {
  EXPECT_EQ(input_from("").kind, Kind::nothing);
  EXPECT_EQ(input_from("  \t\r\n").kind, Kind::nothing);
  EXPECT_EQ(input_from("/help").kind, Kind::help);
  EXPECT_EQ(input_from("/stats ").kind, Kind::stats);
  EXPECT_EQ(input_from("/new\r").kind, Kind::fresh);
  EXPECT_EQ(input_from("/quit").kind, Kind::quit);
  const Input said = input_from("  Why is the sky blue? ");
  EXPECT_EQ(said.kind, Kind::say);
  EXPECT_EQ(said.text, "Why is the sky blue?");
  const Input slash = input_from(" /etc/passwd: what is it?");
  EXPECT_EQ(slash.kind, Kind::say);
  EXPECT_EQ(slash.text, "/etc/passwd: what is it?");
}

TEST(ChatInput, UnknownCommandsAreNamedAndANearOneFound) {
  const Input input = input_from("/stat now");
  EXPECT_EQ(input.kind, Kind::unknown);
  EXPECT_EQ(input.text, "/stat");
  EXPECT_EQ(nearest_command(input.text), "/stats");
  EXPECT_EQ(nearest_command("/etc/passwd"), "");
  for (const char* word : {"/help", "/stats", "/new", "/quit"})
    EXPECT_NE(chat_help().find(word), std::string::npos);
}

TEST(Conversation, RemembersWhatWasSaidInOrder) {
  Conversation conversation("Be brief.");
  conversation.add("one?", "1.");
  const Json body = conversation.request("m", "two?", 64);
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["max_tokens"], 64);
  const Json expected = Json::parse(R"([{"role":"system","content":"Be brief."},
      {"role":"user","content":"one?"},{"role":"assistant","content":"1."},
      {"role":"user","content":"two?"}])");
  EXPECT_EQ(body["messages"], expected);
  EXPECT_EQ(conversation.turns(), 1U) << "asking alone is not remembered";
  conversation.forget();
  EXPECT_EQ(conversation.request("m", "x", 0)["messages"].size(), 2U) << "the system's text stays";
}

TEST(Conversation, WithoutSystemAndLimit) {
  const Json body = Conversation("").request("m", "hi", 0);
  EXPECT_EQ(body["messages"].size(), 1U);
  EXPECT_FALSE(body.contains("max_tokens"));
}

TEST(ChatStats, SaysWhatIsKnown) {
  ChatResult result;
  result.completion_tokens = 57;
  result.total = std::chrono::duration<double>(3);
  EXPECT_EQ(stats_of(result), "57 tokens, 3.0 s in all");
  result.tokens_per_second = 123;
  result.first_token = std::chrono::duration<double>(0.4);
  result.prompt_tokens = 42;
  result.prompt_tokens_per_second = 500;
  EXPECT_EQ(stats_of(result),
            "57 tokens at 123 tok/s, the first after 0.4 s, 3.0 s in all; 42 tokens of prompt at 500 tok/s");
  EXPECT_EQ(to_json(result, "m")["first_token_seconds"], 0.4);
}

}  // namespace
}  // namespace caravan::cli
