#include "gateway/openai_error.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace caravan::gateway {
namespace {

Json inner(const std::string& body) {
  const auto parsed = parse_json(body, 100'000);
  EXPECT_TRUE(parsed.ok()) << body;
  const Json error = parsed.ok() ? (*parsed)["error"] : Json::object();
  for (const char* field : {"message", "type", "param", "code"}) EXPECT_TRUE(error.contains(field)) << field;
  return error;
}

TEST(OpenAiError, HasFourFields) {
  const Json error = inner(error_body(ApiError{400, "'n' must be 1", "n", "invalid_value"}));
  EXPECT_EQ(error["message"], "'n' must be 1");
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(error["param"], "n");
  EXPECT_EQ(error["code"], "invalid_value");
}

TEST(OpenAiError, WhatIsNotKnownIsNull) {
  const Json error = inner(error_body(ApiError{500, "oh", "", ""}));
  EXPECT_TRUE(error["param"].is_null());
  EXPECT_TRUE(error["code"].is_null());
  EXPECT_EQ(error["type"], "server_error");
}

TEST(OpenAiError, CarriesAnyBytes) {
  EXPECT_EQ(inner(error_body(ApiError{400, "\xff\n", "", ""}))["message"], "\uFFFD\n");
}

TEST(OpenAiError, KeepsWhatLlamaServerSays) {
  const Json error = inner(normalized_error_body(
      400, R"({"error":{"code":400,"message":"bad grammar","type":"invalid_request_error"}})"));
  EXPECT_EQ(error["message"], "bad grammar");
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_TRUE(error["code"].is_null());
}

TEST(OpenAiError, NamesALongPromptAsOpenAiDoes) {
  const Json error = inner(normalized_error_body(
      400, R"({"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_ctx":512}})"));
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["type"], "invalid_request_error");
}

TEST(OpenAiError, WrapsAnythingElse) {
  EXPECT_EQ(inner(normalized_error_body(500, R"({"error":"plain"})"))["message"], "plain");
  EXPECT_EQ(inner(normalized_error_body(500, "<html>\x1b[2J"))["message"],
            "llama-server answered 500: <html>?[2J");
  EXPECT_EQ(inner(normalized_error_body(502, ""))["message"], "llama-server answered 502 without a word");
  EXPECT_EQ(inner(normalized_error_body(500, R"({"error":{"message":7}})"))["type"], "server_error");
  EXPECT_LT(normalized_error_body(500, std::string(100'000, 'x')).size(), 1000U);
}

}  // namespace
}  // namespace caravan::gateway
