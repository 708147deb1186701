#include "cli/chat_api.h"

#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

TEST(ApiUrl, HostAndPort) {
  const auto address = [](const char* text) {
    const auto parsed = parse_api_url(text);
    return parsed ? engine::to_string(*parsed) : parsed.error().message;
  };
  EXPECT_EQ(address("http://127.0.0.1:8080"), "127.0.0.1:8080");
  EXPECT_EQ(address(" http://localhost:1/v1/ "), "localhost:1");
  EXPECT_EQ(address("http://192.168.1.7"), "192.168.1.7:80");
  EXPECT_EQ(address("http://[::1]:8080/v1"), "[::1]:8080");
  EXPECT_EQ(address("http://[::1]"), "[::1]:80");
}

TEST(ApiUrl, WhatIsNoneIsRefusedWithAnExample) {
  for (const char* bad : {"", "127.0.0.1:8080", "https://127.0.0.1", "http://", "http://:80", "http://a:0",
                          "http://a:65536", "http://a:8x", "http://a:", "ftp://a"}) {
    const auto parsed = parse_api_url(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.error().code, Code::invalid);
    EXPECT_NE(parsed.error().hint.find("http://127.0.0.1:8080"), std::string::npos);
  }
}

TEST(Readiness, ReadyWithAndWithoutAName) {
  const auto ours = readiness_from(200, R"({"status":"ok","model":"smollm2-135m"})");
  EXPECT_TRUE(ours->ready);
  EXPECT_EQ(ours->model, "smollm2-135m");
  for (const char* body : {"", "OK", "[]", R"({"status":"ok"})", R"({"model":7})"}) {
    const auto other = readiness_from(200, body);
    EXPECT_TRUE(other->ready) << body;
    EXPECT_EQ(other->model, "") << body;
  }
  EXPECT_TRUE(readiness_from(404, "not found")->ready) << "a server without /health";
}

TEST(Readiness, LoadingTellsHowFar) {
  const auto loading =
      readiness_from(503, R"({"error":{"message":"Loading model"},"status":"loading","progress":0.45})");
  ASSERT_TRUE(loading.ok());
  EXPECT_FALSE(loading->ready);
  EXPECT_DOUBLE_EQ(loading->progress, 0.45);
  EXPECT_FALSE(readiness_from(503, R"({"error":{"message":"Loading model","code":503}})")->ready);
}

TEST(Readiness, NoModelAndAFailedOneAreErrorsWithACure) {
  const auto none = readiness_from(503, R"({"error":{"message":"m"},"status":"none"})");
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().hint.find("caravan serve"), std::string::npos);
  const auto failed = readiness_from(503, R"({"error":{"message":"too little memory"},"status":"failed"})");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "too little memory");
  EXPECT_FALSE(failed.error().hint.empty());
  for (const unsigned status : {500U, 401U, 503U}) EXPECT_FALSE(readiness_from(status, "<html>").ok());
  EXPECT_FALSE(readiness_from(500, "{}").ok());
}

TEST(FirstModel, IsNamedOrMissed) {
  EXPECT_EQ(*first_model_in(R"({"data":[{"id":"a"},{"id":"b"}]})"), "a");
  for (const char* bad : {"", "{}", R"({"data":[]})", R"({"data":[{"id":""}]})", R"({"data":7})", "[1]"})
    EXPECT_FALSE(first_model_in(bad).ok()) << bad;
}

}  // namespace
}  // namespace caravan::cli
