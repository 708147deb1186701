// For tests: the OpenAI API in front of a llama-server that does what its handler says.
#pragma once

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "base/json.h"
#include "gateway/http_test_client.h"
#include "gateway/openai_api.h"

namespace caravan::gateway {

constexpr const char* kChat = R"({"model":"gpt-4","messages":[{"role":"user","content":"hi"}]})";
constexpr const char* kStreamedChat = R"({"stream":true,"messages":[{"role":"user","content":"hi"}]})";

inline std::string post_to(const std::string& path, const std::string& body,
                           const std::string& host = "localhost") {
  return "POST " + path + " HTTP/1.1\r\nHost: " + host +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline std::string chat(const std::string& body) { return post_to("/v1/chat/completions", body); }
inline std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

/// A llama-server that does what its handler says, and the API in front of it.
struct ApiBench {
  explicit ApiBench(Handler llama_server, OpenAiApi::Options options = {})
      : api([this](const ReplicaQuery&) { return view; }, options) {
    view.phase = ReplicaView::Phase::ready;
    view.model = "small";
    view.created = 1'700'000'000;
    servers.serve(
        [this](Request request, Responder& responder) { return api.handle(std::move(request), responder); });
    view.backend = servers.serve(std::move(llama_server));
  }

  /// One request, one reply, each on a fresh connection.
  RawReply ask(const std::string& bytes) {
    RawReply reply;
    servers.play(
        [&](ServerBench& bench) -> asio::awaitable<void> { reply = co_await gateway::ask(bench, bytes); });
    return reply;
  }

  ReplicaView view;
  OpenAiApi api;
  ServerBench servers;
};

inline Json body_of(const RawReply& reply) {
  auto body = parse_json(reply.body, 1'000'000);
  EXPECT_TRUE(body.ok()) << reply.body;
  return body.ok() ? *std::move(body) : Json::object();
}

/// OpenAI's form, all four fields.
inline Json error_of(const RawReply& reply, unsigned status) {
  EXPECT_EQ(reply.status, status) << reply.body;
  const Json error = body_of(reply)["error"];
  EXPECT_TRUE(error.is_object() && error.size() == 4 && error["message"].is_string()) << reply.body;
  return error;
}

inline Handler replying(unsigned status, std::string body, std::string type = "application/json") {
  return [=](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
    co_await responder.send(status, type, body);
  };
}

inline Handler unused() { return replying(500, "nobody should ask"); }

}  // namespace caravan::gateway
