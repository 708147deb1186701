#include "gateway/openai_request.h"

#include <gmock/gmock.h>

namespace caravan::gateway {
namespace {

using testing::HasSubstr;

const std::string kMessages = R"("messages":[{"role":"user","content":"hi"}])";

std::string chat_with(const std::string& more) {
  return "{" + kMessages + (more.empty() ? "" : ",") + more + "}";
}

GenerationRequest accepted(Endpoint endpoint, const std::string& body) {
  const auto result = check_generation_request(endpoint, body);
  if (const auto* error = std::get_if<ApiError>(&result)) ADD_FAILURE() << body << ": " << error->message;
  return std::holds_alternative<ApiError>(result) ? GenerationRequest{} : std::get<GenerationRequest>(result);
}

ApiError refused(Endpoint endpoint, const std::string& body) {
  const auto result = check_generation_request(endpoint, body);
  if (!std::holds_alternative<ApiError>(result)) {
    ADD_FAILURE() << body << " was accepted";
    return {};
  }
  EXPECT_EQ(std::get<ApiError>(result).status, 400U);
  EXPECT_FALSE(std::get<ApiError>(result).message.empty());
  return std::get<ApiError>(result);
}

TEST(GenerationRequest, TakesWhatClientsSend) {
  const std::vector<std::string> fine{
      "",
      R"("model":"gpt-4","temperature":0,"top_p":0.9,"max_tokens":20,"stop":["a"],"user":"me")",
      R"("max_tokens":0)",
      R"("max_tokens":-1)",
      R"("seed":-5,"n":1,"stop":"x","tools":[],"response_format":{"type":"json_object"})",
      R"("model":null,"stream":null,"max_tokens":null,"stop":null,"tools":null)",
      R"("something_new":{"deep":[1,{"messages":7,"stream":"x"}]})",
  };
  for (const std::string& more : fine) EXPECT_FALSE(accepted(Endpoint::chat, chat_with(more)).stream);
  accepted(Endpoint::chat, R"({"messages":[{"role":"assistant","content":null,"tool_calls":[{"role":5}]},)"
                           R"({"role":"user","content":[{"type":"text","text":"x"}]}]})");
  accepted(Endpoint::completion, R"({"prompt":"once"})");
  accepted(Endpoint::completion, R"({"prompt":[1,2,3]})");
}

TEST(GenerationRequest, KnowsWhetherToStream) {
  EXPECT_TRUE(accepted(Endpoint::chat, chat_with(R"("stream":true)")).stream);
  EXPECT_FALSE(accepted(Endpoint::chat, chat_with(R"("stream":false)")).stream);
  EXPECT_FALSE(accepted(Endpoint::chat, chat_with(R"("tools":[{"stream":true}])")).stream);
}

TEST(GenerationRequest, NamesTheFieldThatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {R"("stream":"yes")", "stream"},
      {R"("stream":1)", "stream"},
      {R"("max_tokens":"20")", "max_tokens"},
      {R"("max_tokens":1.5)", "max_tokens"},
      {R"("max_tokens":-2)", "max_tokens"},
      {R"("max_completion_tokens":[])", "max_completion_tokens"},
      {R"("n":0)", "n"},
      {R"("temperature":"hot")", "temperature"},
      {R"("model":7)", "model"},
      {R"("stop":7)", "stop"},
      {R"("tools":{})", "tools"},
      {R"("stream_options":[])", "stream_options"},
      {R"("response_format":"json")", "response_format"},
  };
  for (const auto& [more, param] : wrong) {
    const ApiError error = refused(Endpoint::chat, chat_with(more));
    EXPECT_EQ(error.param, param);
    EXPECT_THAT(error.message, HasSubstr("'" + param + "' must be"));
  }
}

TEST(GenerationRequest, NamesTheMessageThatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {R"({"messages":[]})", "messages"},
      {R"({})", "messages"},
      {R"({"messages":null})", "messages"},
      {R"({"messages":"hi"})", "messages"},
      {R"({"messages":{"role":"user"}})", "messages"},
      {R"({"messages":["hi"]})", "messages[0]"},
      {R"({"messages":[[]]})", "messages[0]"},
      {R"({"messages":[{"content":"x"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user","content":"x"},{"role":null}]})", "messages[1].role"},
      {R"({"messages":[{"role":"user","content":"x"},{"role":["user"]}]})", "messages[1].role"},
      {R"({"messages":[{"role":"user","content":7}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":{"text":"x"}}]})", "messages[0].content"},
  };
  for (const auto& [body, param] : wrong) EXPECT_EQ(refused(Endpoint::chat, body).param, param) << body;
}

TEST(GenerationRequest, ACompletionNeedsAPrompt) {
  EXPECT_EQ(refused(Endpoint::completion, "{}").param, "prompt");
  EXPECT_EQ(refused(Endpoint::completion, R"({"prompt":null})").param, "prompt");
  EXPECT_EQ(refused(Endpoint::completion, R"({"prompt":7})").param, "prompt");
  EXPECT_EQ(refused(Endpoint::completion, chat_with("")).param, "prompt");
}

TEST(GenerationRequest, RefusesWhatIsNoObject) {
  for (const char* body : {"", "  \n", "[]", "7", "\"x\"", "null", "{", "{\"messages\":[}", "{} {}", "\xff",
                           "{\"a\":\"\xff\"}"}) {
    EXPECT_EQ(refused(Endpoint::chat, body).param, "");
  }
}

TEST(GenerationRequest, RefusesDeepNestingAndSurvivesVeryDeepNesting) {
  const auto nested = [](std::size_t depth) {
    return chat_with("\"tools\":" + std::string(depth, '[') + std::string(depth, ']'));
  };
  accepted(Endpoint::chat, nested(63));
  EXPECT_THAT(refused(Endpoint::chat, nested(64)).message, HasSubstr("deeper"));
  EXPECT_THAT(refused(Endpoint::chat, nested(5'000'000)).message, HasSubstr("deeper"));
}

TEST(OpenAiRequest, TheModelIsTheLastOneThatTheRequestNamesItself) {
  const auto model_in = [](std::string_view body) {
    const auto checked = check_generation_request(Endpoint::completion, body);
    const auto* request = std::get_if<GenerationRequest>(&checked);
    return request == nullptr ? "refused" : request->model;
  };
  EXPECT_EQ(model_in(R"({"prompt":"x","model":"m"})"), "m");
  EXPECT_EQ(model_in(R"({"prompt":"x"})"), "");
  EXPECT_EQ(model_in(R"({"prompt":"x","model":null})"), "");
  EXPECT_EQ(model_in(R"({"model":"a","prompt":"x","model":"b"})"), "b");
  EXPECT_EQ(model_in(R"({"model":"a","prompt":"x","model":null})"), "");
  EXPECT_EQ(model_in(R"({"model":"a","prompt":"x","tools":[{"model":"b"}],"user":"c"})"), "a");
}

}  // namespace
}  // namespace caravan::gateway
