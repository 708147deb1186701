#include "gateway/http_server.h"

#include <stdexcept>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <gmock/gmock.h>

#include "gateway/http_test_client.h"

namespace caravan::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

asio::awaitable<void> stream_three(Request /*request*/, Responder& responder) {
  co_await responder.start(200, "text/plain");
  for (const char* piece : {"one ", "", "two ", "three"}) co_await responder.write(piece);
  co_await responder.finish();
}

TEST(HttpServer, HandsTheRequestToTheHandler) {
  const auto reply = reply_to(
      echo, "PUT /a%20b/c?d=%20e HTTP/1.1\r\nhost: a\r\nX-THING: one\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.body, "PUT|/a b/c|d=%20e|one|body");
  EXPECT_EQ(reply.header("Content-Type"), "text/plain");
  EXPECT_EQ(reply.header("Connection"), "keep-alive");
}

TEST(HttpServer, ReadsChunkedBodies) {
  const auto reply = reply_to(echo,
                              "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                              "chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n");
  EXPECT_EQ(reply.body, "POST|/||-|abcde");
}

TEST(HttpServer, FieldsBehindAChunkedBodyAreNoHeader) {
  const auto reply = reply_to(echo,
                              "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "3\r\nabc\r\n0\r\nHost: evil\r\nX-Thing: late\r\n\r\n");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.body, "POST|/||-|abc");
}

TEST(HttpServer, ServesOneRequestAfterTheOtherOnAConnection) {
  ServerBench bench;
  bench.serve(echo);
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto client = co_await b.connect();
    for (const char* body : {"one", "two"}) {
      co_await client->send(post(body));
      const auto reply = co_await client->read_reply();
      EXPECT_THAT(reply.body, HasSubstr(body));
    }
    co_await client->send(post("last", "Connection: close\r\n"));
    const auto last = co_await client->read_reply();
    EXPECT_EQ(last.header("Connection"), "close");
    const std::string rest = co_await client->read_all();
    EXPECT_EQ(rest, "");
  });
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  ServerBench bench;
  bench.serve(echo);
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto client = co_await b.connect();
    co_await client->send(post("one") + "\r\n" + post("two") + post("three"));
    for (const char* body : {"one", "two", "three"}) {
      const auto reply = co_await client->read_reply();
      EXPECT_THAT(reply.body, HasSubstr(body));
    }
  });
}

TEST(HttpServer, KeepsWhatIsSentAheadWhileAHandlerWatchesTheClient) {
  ServerBench bench;
  bench.serve([](Request request, Responder& responder) -> asio::awaitable<void> {
    using namespace asio::experimental::awaitable_operators;
    co_await (pause_for_test() || responder.client_gone());
    co_await echo(std::move(request), responder);
  });
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto client = co_await b.connect();
    const std::string long_body(20'000, 'x');
    co_await client->send(post("one") + post(long_body) + post("three"));
    for (const std::string& body : {std::string("one"), long_body, std::string("three")}) {
      const auto reply = co_await client->read_reply();
      EXPECT_EQ(reply.body, "POST|/x||-|" + body);
    }
  });
}

TEST(HttpServer, EndsTheConnectionOfAnOldClient) {
  ServerBench bench;
  bench.serve(say_hello);
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto client = co_await b.connect();
    co_await client->send("GET / HTTP/1.0\r\n\r\n");
    const std::string all = co_await client->read_all();
    EXPECT_THAT(all, HasSubstr("Connection: close"));
    EXPECT_TRUE(all.ends_with("\r\n\r\nhello"));
  });
}

TEST(HttpServer, StreamsInChunks) {
  const auto reply = reply_to(stream_three, kGet);
  EXPECT_EQ(reply.header("Transfer-Encoding"), "chunked");
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.body, "one two three");
}

TEST(HttpServer, StreamsToAnOldClientUntilTheConnectionEnds) {
  const auto reply = reply_to(stream_three, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(reply.header("Transfer-Encoding"), "");
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.body, "one two three");
}

TEST(HttpServer, AReplyToHeadHasTheHeadersOnly) {
  for (const Handler& handler : {Handler(say_hello), Handler(stream_three)}) {
    ServerBench bench;
    bench.serve(handler);
    bench.play([](ServerBench& b) -> asio::awaitable<void> {
      const auto client = co_await b.connect();
      co_await client->send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      const auto reply = co_await client->read_reply(/*to_head=*/true);
      EXPECT_EQ(reply.status, 200U);
      const std::string rest = co_await client->read_all();
      EXPECT_EQ(rest, "");
    });
  }
}

TEST(HttpServer, AsksForABodyThatWaitsToBeAskedFor) {
  ServerBench bench;
  bench.serve(echo);
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto client = co_await b.connect();
    co_await client->send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    const std::string asked = co_await client->read_until("\r\n\r\n");
    EXPECT_EQ(asked, "HTTP/1.1 100 Continue\r\n\r\n");
    co_await client->send("body");
    const auto reply = co_await client->read_reply();
    EXPECT_EQ(reply.body, "POST|/||-|body");
  });
}

TEST(HttpServer, SurvivesAHandlerThatThrowsOrForgets) {
  ServerBench bench;
  bench.serve([](Request request, Responder& responder) -> asio::awaitable<void> {
    if (request.body == "throw") throw std::runtime_error("on purpose");
    if (request.body == "forget") co_return;
    co_await echo(std::move(request), responder);
  });
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto client = co_await b.connect();
    for (const char* body : {"throw", "forget", "echo"}) {
      co_await client->send(post(body));
      const auto reply = co_await client->read_reply();
      EXPECT_EQ(reply.status, std::string_view(body) == "echo" ? 200U : 500U);
    }
  });
}

TEST(HttpServer, AStreamThatItsHandlerLeavesOpenIsCut) {
  const Handler handler = [](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
    co_await responder.start(200, "text/plain");
    co_await responder.write("half");
  };
  for (const char* request : {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"}) {
    const auto reply = reply_to(handler, request);
    EXPECT_FALSE(reply.complete) << request;
  }
}

engine::HttpHeaders two_lines() { return {{"X-Two", "a\r\nInjected: b"}}; }

TEST(HttpServer, AnswersARequestOnce) {
  std::vector<bool> results;
  const auto reply = reply_to(
      [&results](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
        const bool early = co_await responder.write("early");
        const bool one = co_await responder.send(200, "text/plain", "one", two_lines());
        const bool two = co_await responder.send(200, "text/plain", "two");
        const bool stream = co_await responder.start(200, "text/plain");
        const bool end = co_await responder.finish();
        results.assign({early, one, two, stream, end});
      },
      kGet);
  EXPECT_EQ(results, (std::vector<bool>{false, true, false, false, false}));
  EXPECT_EQ(reply.body, "one");
  EXPECT_EQ(reply.header("X-Two"), "a  Injected: b");
}

TEST(HttpServer, TellsTheHandlerThatTheClientIsGone) {
  ServerBench bench;
  Moment started(bench.loop);
  Moment gone(bench.loop);
  bool could_write = true;
  bench.serve([&](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
    started.come();
    co_await responder.client_gone();
    could_write = co_await responder.send(200, "text/plain", "too late");
    gone.come();
  });
  bench.play([&](ServerBench& b) -> asio::awaitable<void> {
    auto client = co_await b.connect();
    co_await client->send(kGet);
    co_await started.wait();
    client.reset();
    co_await gone.wait();
  });
  EXPECT_FALSE(could_write);
}

TEST(HttpServer, StoppingCancelsHandlersAndClosesConnections) {
  ServerBench bench;
  Moment started(bench.loop);
  Moment never(bench.loop);
  bool cancelled = true;
  bench.serve([&](Request /*request*/, Responder& /*responder*/) -> asio::awaitable<void> {
    started.come();
    co_await never.wait();
    co_await never.wait();
    cancelled = false;
  });
  bench.play([&](ServerBench& b) -> asio::awaitable<void> {
    const auto idle = co_await b.connect();
    const auto waiting = co_await b.connect();
    co_await waiting->send(kGet);
    co_await started.wait();
    const auto address = b.servers.front()->address();
    co_await b.servers.front()->stop();
    EXPECT_EQ(b.servers.front()->connections(), 0U);
    const std::string nothing = co_await idle->read_all();
    EXPECT_EQ(nothing, "");
    const std::string no_reply = co_await waiting->read_all();
    EXPECT_EQ(no_reply, "");
    const auto late =
        co_await engine::TimedStream::connect(b.loop.get_executor(), address, Clock::now() + kTestPatience);
    EXPECT_FALSE(late.ok());
  });
  EXPECT_TRUE(cancelled);
}

TEST(HttpServer, CanGoWithItsLoopWhileRequestsRun) {
  ServerBench bench;
  Moment never(bench.loop);
  bench.serve([&](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
    using namespace asio::experimental::awaitable_operators;
    bench.loop.stop();
    co_await (never.wait() || responder.client_gone());
  });
  std::unique_ptr<RawClient> client;
  asio::co_spawn(
      bench.loop,
      [&]() -> asio::awaitable<void> {
        client = co_await bench.connect();
        co_await client->send(kGet);
      },
      [](const std::exception_ptr&) {});
  bench.loop.run_for(kTestPatience);
  EXPECT_TRUE(bench.loop.stopped());
}

}  // namespace
}  // namespace caravan::gateway
