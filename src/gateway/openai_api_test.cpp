#include "gateway/openai_api.h"

#include <gmock/gmock.h>

#include "gateway/openai_test_bench.h"

namespace caravan::gateway {
namespace {

using testing::HasSubstr;

TEST(OpenAiApi, HealthSaysWhetherTheModelCanAnswer) {
  ApiBench ready(unused());
  const auto fine = ready.ask(get("/health"));
  EXPECT_EQ(fine.status, 200U);
  EXPECT_EQ(body_of(fine)["status"], "ok");

  ApiBench loading(unused());
  loading.view.phase = ReplicaView::Phase::loading;
  loading.view.progress = 0.42;
  const auto later = loading.ask(get("/health"));
  EXPECT_EQ(error_of(later, 503)["message"], "Loading model");
  EXPECT_EQ(body_of(later)["status"], "loading");
  EXPECT_EQ(body_of(later)["progress"], 0.42);
  EXPECT_EQ(later.header("Retry-After"), "5");

  ApiBench failed(unused());
  failed.view.phase = ReplicaView::Phase::failed;
  failed.view.message = "the model does not fit";
  failed.view.hint = "add a device";
  EXPECT_EQ(error_of(failed.ask(get("/health")), 503)["message"], "the model does not fit; add a device");
}

TEST(OpenAiApi, HealthTakesHead) {
  ApiBench bench(unused());
  bench.servers.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto client = co_await b.connect();
    co_await client->send("HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const auto reply = co_await client->read_reply(/*to_head=*/true);
    EXPECT_EQ(reply.status, 200U);
  });
}

TEST(OpenAiApi, ListsTheModel) {
  ApiBench bench(unused());
  const Json list = body_of(bench.ask(get("/v1/models")));
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 1U);
  EXPECT_EQ(list["data"][0]["id"], "small");
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_EQ(list["data"][0]["created"], 1'700'000'000);
}

TEST(OpenAiApi, ShowsOneModelByName) {
  ApiBench named(unused());
  named.view.model = "org/small";
  EXPECT_EQ(body_of(named.ask(get("/v1/models/org%2Fsmall")))["id"], "org/small");
  ApiBench other(unused());
  EXPECT_EQ(error_of(other.ask(get("/v1/models/large")), 404)["code"], "model_not_found");
  ApiBench none(unused());
  none.view.model.clear();
  none.view.phase = ReplicaView::Phase::none;
  EXPECT_TRUE(body_of(none.ask(get("/v1/models")))["data"].empty());
}

TEST(OpenAiApi, OfSeveralModelsTheRequestNamesOne) {
  ApiBench bench(replying(200, "{}"));
  bench.others = {"large"};
  EXPECT_EQ(bench.ask(chat(R"({"model":"large","messages":[{"role":"user"}]})")).status, 200U);
  ApiBench nameless(replying(200, "{}"));
  nameless.others = {"large"};
  EXPECT_EQ(nameless.ask(chat(kStreamedChat)).status, 200U) << "goes to the oldest";
  ApiBench unknown(unused());
  unknown.others = {"large"};
  const Json error = error_of(unknown.ask(chat(kChat)), 404);
  EXPECT_EQ(error["code"], "model_not_found");
  EXPECT_EQ(error["param"], "model");
  EXPECT_EQ(error["message"], "there is no model 'gpt-4' here; served are: small, large");
}

TEST(OpenAiApi, ListsAllModelsAndShowsWhichIsReady) {
  ApiBench bench(unused());
  bench.others = {"large", "huge"};
  bench.others_ready = false;
  const Json list = body_of(bench.ask(get("/v1/models")));
  ASSERT_EQ(list["data"].size(), 3U);
  EXPECT_EQ(list["data"][2]["id"], "huge");
  ApiBench one(unused());
  one.others = {"large"};
  one.others_ready = false;
  EXPECT_EQ(body_of(one.ask(get("/v1/models/small")))["id"], "small");
  ApiBench two(unused());
  two.others = {"large"};
  two.others_ready = false;
  EXPECT_EQ(error_of(two.ask(get("/v1/models/large")), 503)["code"], "model_starting");
}

TEST(OpenAiApi, IsHealthyWhileAnyModelAnswers) {
  ApiBench bench(unused());
  bench.view.phase = ReplicaView::Phase::failed;
  bench.others = {"large"};
  const auto reply = bench.ask(get("/health"));
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(body_of(reply)["model"], "large");
  ApiBench none(unused());
  none.view.phase = ReplicaView::Phase::failed;
  none.others = {"large"};
  none.others_ready = false;
  EXPECT_EQ(error_of(none.ask(get("/health")), 503)["code"], "model_failed");
}

TEST(OpenAiApi, KnowsWhichModelsItPassesRequestsOnFor) {
  std::vector<std::string> during;
  OpenAiApi* api = nullptr;
  ApiBench bench([&](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
    during = api->answering();
    co_await responder.send(200, "application/json", "{}");
  });
  api = &bench.api;
  bench.others = {"large"};
  bench.ask(chat(R"({"model":"large","messages":[{"role":"user"}]})"));
  EXPECT_EQ(during, std::vector<std::string>{"large"});
  EXPECT_TRUE(bench.api.answering().empty());
  EXPECT_EQ(bench.api.in_flight(), 0U);
}

TEST(OpenAiApi, UnknownPathsSayWhatThereIs) {
  ApiBench bench(unused());
  const Json error = error_of(bench.ask(post_to("/v1/chat/completion", kChat)), 404);
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("Did you mean /v1/chat/completions?"));
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("/v1/models"));
}

TEST(OpenAiApi, WrongMethodsSayWhichAreRight) {
  ApiBench one(unused());
  const auto get_chat = one.ask(get("/v1/chat/completions"));
  error_of(get_chat, 405);
  EXPECT_EQ(get_chat.header("Allow"), "POST");
  ApiBench two(unused());
  const auto post_models = two.ask(post_to("/v1/models", ""));
  error_of(post_models, 405);
  EXPECT_EQ(post_models.header("Allow"), "GET, HEAD");
}

TEST(OpenAiApi, RefusesWebPagesOfOtherSitesOnLoopbackOnly) {
  const std::string rebound = post_to("/v1/chat/completions", kChat, "evil.example");
  ApiBench local(unused());
  error_of(local.ask(rebound), 403);
  OpenAiApi::Options open;
  open.local_only = false;
  ApiBench reachable(replying(200, "{}"), open);
  EXPECT_EQ(reachable.ask(rebound).status, 200U);
}

TEST(OpenAiApi, AWrongRequestNamesTheFieldAndReachesNobody) {
  ApiBench bench(unused());
  EXPECT_EQ(error_of(bench.ask(chat(R"({"messages":[]})")), 400)["param"], "messages");
}

TEST(OpenAiApi, PassesTheBodyOnByteForByteAndTheReplyBack) {
  const std::string body = "{ \"z\":1.0, \"a\":[1e0], \"messages\" :[{\"role\":\"user\"}]}\n";
  std::string seen;
  ApiBench bench([&seen](Request request, Responder& responder) -> asio::awaitable<void> {
    seen = request.method + " " + request.target + " " + request.body;
    engine::HttpHeaders extra;
    extra.emplace_back("X-Secret", "of the engine");
    co_await responder.send(200, "application/json; charset=utf-8", "{\"id\":1}", extra);
  });
  const auto reply = bench.ask(chat(body));
  EXPECT_EQ(seen, "POST /v1/chat/completions " + body);
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.body, "{\"id\":1}");
  EXPECT_EQ(reply.header("Content-Type"), "application/json; charset=utf-8");
  EXPECT_EQ(reply.header("X-Secret"), "");
}

TEST(OpenAiApi, PassesCompletionsOn) {
  std::string seen;
  ApiBench bench([&seen](Request request, Responder& responder) -> asio::awaitable<void> {
    seen = request.target;
    co_await responder.send(200, "application/json", "{}");
  });
  EXPECT_EQ(bench.ask(post_to("/v1/completions", R"({"prompt":"x"})")).status, 200U);
  EXPECT_EQ(seen, "/v1/completions");
}

TEST(OpenAiApi, WaitsForNoModel) {
  using Phase = ReplicaView::Phase;
  for (const auto& [phase, code] :
       {std::pair{Phase::none, "no_model"}, std::pair{Phase::starting, "model_starting"},
        std::pair{Phase::loading, "model_loading"}, std::pair{Phase::failed, "model_failed"}}) {
    ApiBench bench(unused());
    bench.view.phase = phase;
    const auto reply = bench.ask(chat(kChat));
    EXPECT_EQ(error_of(reply, 503)["code"], code);
    EXPECT_EQ(reply.header("Retry-After"), "5");
  }
}

TEST(OpenAiApi, PutsLlamaServersErrorsIntoOpenAisForm) {
  ApiBench bench(
      replying(400, R"({"error":{"code":400,"message":"bad grammar","type":"invalid_request_error"}})"));
  EXPECT_EQ(error_of(bench.ask(chat(kChat)), 400)["message"], "bad grammar");
  ApiBench busy(replying(503, "busy", "text/plain"));
  const auto reply = busy.ask(chat(kStreamedChat));
  error_of(reply, 503);
  EXPECT_EQ(reply.header("Retry-After"), "5");
}

}  // namespace
}  // namespace caravan::gateway
