// Streams, failures of llama-server, clients that leave, clients that are slow.
#include <boost/asio/post.hpp>
#include <gmock/gmock.h>

#include "engine/sse.h"
#include "gateway/openai_api.h"
#include "gateway/openai_test_bench.h"

namespace caravan::gateway {
namespace {

using namespace std::chrono_literals;
using engine::UnixAddress;
using testing::HasSubstr;

constexpr std::size_t kTotal = std::size_t{64} << 20U;
constexpr std::size_t kAhead = std::size_t{2} << 20U;  // what two pairs of Unix sockets hold, and some

/// Streams `pieces`, then ends properly or is cut.
Handler streaming(std::vector<std::string> pieces, bool proper_end) {
  return [=](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
    co_await responder.start(200, "text/event-stream");
    for (const std::string& piece : pieces) co_await responder.write(piece);
    if (proper_end) co_await responder.finish();
  };
}

TEST(OpenAiStream, StreamsEventsAsTheyCome) {
  ApiBench bench(streaming({"data: {\"a\":1}\n\nda", "ta: {\"a\":2}\n", "\n:\n\ndata: [DONE]\n\n"}, true));
  const auto reply = bench.ask(chat(kStreamedChat));
  EXPECT_EQ(reply.status, 200U);
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.header("Content-Type"), "text/event-stream");
  EXPECT_EQ(reply.body, "data: {\"a\":1}\n\ndata: {\"a\":2}\n\n:\n\ndata: [DONE]\n\n");
}

TEST(OpenAiStream, AStreamThatIsCutEndsWithAnErrorEvent) {
  // The second ends properly as far as HTTP is concerned: what llama-server does when it is told to stop.
  for (const bool proper_end : {false, true}) {
    ApiBench bench(streaming({"data: {\"a\":1}\n\ndata: {\"a\"", ":2"}, proper_end));
    const auto reply = bench.ask(chat(kStreamedChat));
    EXPECT_EQ(reply.status, 200U);
    EXPECT_TRUE(reply.complete);
    const auto events = engine::SseDecoder().feed(reply.body);
    ASSERT_EQ(events.size(), 2U) << reply.body;
    EXPECT_EQ(events[0], "{\"a\":1}");
    const auto error = parse_json(events[1], 10'000);
    ASSERT_TRUE(error.ok());
    EXPECT_EQ((*error)["error"]["code"], "engine_lost");
  }
}

TEST(OpenAiStream, ACutAfterTheLastEventIsNoError) {
  for (const std::string last : {"data: [DONE]\n\n", "data: {\"error\":{\"message\":\"x\"}}\n\n"}) {
    ApiBench bench(streaming({"data: {}\n\n", last}, false));
    const auto reply = bench.ask(chat(kStreamedChat));
    EXPECT_TRUE(reply.complete);
    EXPECT_EQ(reply.body, "data: {}\n\n" + last);
  }
}

TEST(OpenAiStream, WhatFailsBeforeTheFirstEventHasAStatus) {
  const Handler no_reply = [](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
    co_await responder.start(200, "application/json");
    co_await responder.write("{\"half");
  };
  ApiBench half(no_reply);
  EXPECT_EQ(error_of(half.ask(chat(kChat)), 502)["code"], "engine_lost");
  ApiBench no_event(streaming({"data: half"}, false));
  EXPECT_EQ(error_of(no_event.ask(chat(kStreamedChat)), 502)["code"], "engine_lost");
  ApiBench nobody(unused());
  nobody.view.backend = UnixAddress{"/nowhere/at/all"};
  EXPECT_EQ(error_of(nobody.ask(chat(kChat)), 502)["code"], "engine_lost");
}

TEST(OpenAiStream, AReplyThatIsTooLongIsRefused) {
  OpenAiApi::Options options;
  options.reply_bytes = 1000;
  ApiBench bench(replying(200, std::string(1001, 'x')), options);
  error_of(bench.ask(chat(kChat)), 502);
  ApiBench endless(streaming({std::string(2'000'000, 'x')}, true));
  error_of(endless.ask(chat(kStreamedChat)), 502);
}

asio::awaitable<void> until_client_is_gone(Request /*request*/, Responder& responder) {
  co_await responder.client_gone();
}

TEST(OpenAiStream, SilenceOfTheEngineHasAnEnd) {
  OpenAiApi::Options options;
  options.silence_time = 20ms;
  ApiBench silent(until_client_is_gone, options);
  EXPECT_EQ(error_of(silent.ask(chat(kStreamedChat)), 504)["code"], "engine_timeout");

  ApiBench stuck(
      [](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
        co_await responder.start(200, "text/event-stream");
        co_await responder.write("data: {}\n\n");
        co_await responder.client_gone();
      },
      options);
  const auto reply = stuck.ask(chat(kStreamedChat));
  EXPECT_EQ(reply.status, 200U);
  EXPECT_TRUE(reply.complete);
  EXPECT_THAT(reply.body, HasSubstr("engine_timeout"));
}

TEST(OpenAiStream, AReplyThatIsNotStreamedMayBeSilentForTheTotalTime) {
  OpenAiApi::Options options;
  options.silence_time = 1ms;
  ApiBench slow(
      [](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
        co_await pause_for_test();
        co_await responder.send(200, "application/json", "{}");
      },
      options);
  EXPECT_EQ(slow.ask(chat(kChat)).status, 200U);
  options.total_time = 20ms;
  ApiBench endless(until_client_is_gone, options);
  EXPECT_EQ(error_of(endless.ask(chat(kChat)), 504)["code"], "engine_timeout");
}

/// The client leaves in the middle of `request`; the engine's connection has to end with it.
void expect_that_leaving_stops_the_engine(const std::string& request, bool after_first_event) {
  std::unique_ptr<ApiBench> bench;
  std::unique_ptr<Moment> working;
  std::unique_ptr<Moment> stopped;
  bench = std::make_unique<ApiBench>([&](Request /*body*/, Responder& responder) -> asio::awaitable<void> {
    if (after_first_event) {
      co_await responder.start(200, "text/event-stream");
      co_await responder.write("data: {}\n\n");
    }
    working->come();
    co_await responder.client_gone();
    stopped->come();
  });
  working = std::make_unique<Moment>(bench->servers.loop);
  stopped = std::make_unique<Moment>(bench->servers.loop);
  bench->servers.play([&](ServerBench& b) -> asio::awaitable<void> {
    auto client = co_await b.connect();
    co_await client->send(request);
    co_await working->wait();
    EXPECT_EQ(bench->api.in_flight(), 1U);
    if (after_first_event) co_await client->read_until("data: {}\n\n");
    client.reset();
    co_await stopped->wait();
  });
  EXPECT_EQ(bench->api.in_flight(), 0U);
}

TEST(OpenAiStream, AClientThatLeavesStopsTheEngine) {
  expect_that_leaving_stops_the_engine(chat(kChat), false);
  expect_that_leaving_stops_the_engine(chat(kStreamedChat), false);
  expect_that_leaving_stops_the_engine(chat(kStreamedChat), true);
}

TEST(OpenAiStream, ASlowClientSlowsTheEngine) {
  const auto folder = TemporaryFolder::make("openai_api_test");
  ASSERT_TRUE(folder.ok());
  std::size_t written = 0;
  ServerBench servers;
  ReplicaView view;
  view.phase = ReplicaView::Phase::ready;
  OpenAiApi api([&view](const ReplicaQuery&) { return view; }, {});
  servers.serve(
      [&api](Request request, Responder& responder) { return api.handle(std::move(request), responder); }, {},
      UnixAddress{folder.value().path() / "api"});
  view.backend = servers.serve(
      [&written](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
        const std::string event = "data: " + std::string(60'000, 'x') + "\n\n";
        co_await responder.start(200, "text/event-stream");
        bool alive = true;
        while (alive && written < kTotal) {
          written += event.size();
          alive = co_await responder.write(event);
        }
        co_await responder.write("data: [DONE]\n\n");
        co_await responder.finish();
      },
      {}, UnixAddress{folder.value().path() / "engine"});
  servers.play([&written](ServerBench& bench) -> asio::awaitable<void> {
    const auto client = co_await bench.connect();
    co_await client->send(chat(kStreamedChat));
    std::size_t read = 0;
    bool more = true;
    while (more && read < kTotal) {
      // Gives both servers every chance to run ahead.
      for (int turn = 0; turn < 20; ++turn) co_await asio::post(bench.loop, asio::use_awaitable);
      EXPECT_LE(written, read + kAhead);
      more = co_await client->receive();
      read += client->take(client->buffered()).size();
    }
    EXPECT_GE(read, kTotal);
  });
}

}  // namespace
}  // namespace caravan::gateway
