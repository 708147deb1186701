// What clients may do to a server that it has to survive.
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include "base/json.h"
#include "gateway/http_server.h"
#include "gateway/http_test_client.h"

namespace caravan::gateway {
namespace {

using namespace std::chrono_literals;
using engine::UnixAddress;

constexpr std::size_t kTotal = std::size_t{64} << 20U;
constexpr std::size_t kAhead = std::size_t{1} << 20U;  // more than a Unix socket holds

/// Every refusal has OpenAI's form and says that the connection ends.
void expect_refusal(const RawReply& reply, unsigned status) {
  EXPECT_EQ(reply.status, status);
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.header("Connection"), "close");
  const auto body = parse_json(reply.body, 10'000);
  ASSERT_TRUE(body.ok()) << reply.body;
  EXPECT_TRUE((*body)["error"]["message"].is_string());
}

TEST(HostileClient, RefusesALongBodyBeforeItComes) {
  Limits limits;
  limits.body_bytes = 100;
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n";
  expect_refusal(reply_to(echo, head + "\r\n", limits), 413);
  expect_refusal(reply_to(echo, head + "Expect: 100-continue\r\n\r\n", limits), 413);
  expect_refusal(
      reply_to(echo, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999\r\n\r\n", limits), 413);
  expect_refusal(
      reply_to(echo, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", limits), 413);
  EXPECT_EQ(reply_to(echo, post(std::string(100, 'x')), limits).status, 200U);
}

TEST(HostileClient, ALongBodyThatComesAnywayDoesNotHideTheRefusal) {
  Limits limits;
  limits.body_bytes = 100;
  expect_refusal(reply_to(echo, post(std::string(1'000'000, 'x')), limits), 413);
}

TEST(HostileClient, RefusesALongHeader) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
  expect_refusal(reply_to(echo, start + "X: " + std::string(40'000, 'x') + "\r\n\r\n"), 431);
  std::string many = start;
  for (int i = 0; i < 10'000; ++i) many += "A: b\r\n";
  expect_refusal(reply_to(echo, many), 431);
  expect_refusal(reply_to(echo, std::string(40'000, 'G')), 431);
  expect_refusal(reply_to(echo, "GET /" + std::string(40'000, 'x')), 431);
}

TEST(HostileClient, RefusesAnEndlessLineBetweenChunks) {
  expect_refusal(reply_to(echo, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;" +
                                    std::string(70'000, 'x')),
                 431);
}

TEST(HostileClient, RefusesWhatIsNoHttp) {
  for (const char* bytes :
       {"\x16\x03\x01\x02\x01", "hello\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    SCOPED_TRACE(bytes);
    expect_refusal(reply_to(echo, bytes), 400);
  }
}

TEST(HostileClient, RefusesEncodingsAndExpectationsThatItDoesNotKnow) {
  expect_refusal(reply_to(echo, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"), 501);
  expect_refusal(reply_to(echo, "POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n"),
                 417);
}

TEST(HostileClient, WaitsForASlowRequestOnlySoLong) {
  Limits limits;
  limits.header_time = 20ms;
  limits.body_time = 20ms;
  expect_refusal(reply_to(echo, "GET / HT", limits), 408);
  expect_refusal(reply_to(echo, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", limits), 408);
}

TEST(HostileClient, ClosesAnIdleConnectionWithoutAWord) {
  Limits limits;
  limits.idle_time = 20ms;
  ServerBench bench;
  bench.serve(echo, limits);
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto fresh = co_await b.connect();
    const std::string nothing = co_await fresh->read_all();
    EXPECT_EQ(nothing, "");
    const auto used = co_await b.connect();
    co_await used->send(post("x"));
    const auto reply = co_await used->read_reply();
    EXPECT_EQ(reply.status, 200U);
    const std::string rest = co_await used->read_all();
    EXPECT_EQ(rest, "");
  });
}

TEST(HostileClient, TurnsConnectionsAwayAboveItsLimit) {
  Limits limits;
  limits.connections = 1;
  ServerBench bench;
  bench.serve(say_hello, limits);
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto first = co_await b.connect();
    co_await first->send(kGet);
    const auto served = co_await first->read_reply();
    EXPECT_EQ(served.status, 200U);
    const auto second = co_await b.connect();
    co_await second->send(kGet);
    const auto refused = co_await second->read_reply();
    expect_refusal(refused, 503);
    EXPECT_EQ(refused.header("Retry-After"), "5");
    co_await first->send(kGet);
    const auto still_served = co_await first->read_reply();
    EXPECT_EQ(still_served.status, 200U);
  });
}

TEST(HostileClient, LimitsTheMemoryOfAllBodiesTogether) {
  Limits limits;
  limits.all_bodies_bytes = 1000;
  ServerBench bench;
  bench.serve(echo, limits);
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto first = co_await b.connect();
    co_await first->send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 600\r\n\r\n");
    co_await first->read_until("\r\n\r\n");
    const auto refused = co_await ask(b, post(std::string(600, 'x')));
    expect_refusal(refused, 503);
    co_await first->send(std::string(600, 'x'));
    const auto served = co_await first->read_reply();
    EXPECT_EQ(served.status, 200U);
    const auto again = co_await ask(b, post(std::string(600, 'x')));
    EXPECT_EQ(again.status, 200U);
  });
}

TEST(HostileClient, AWriteWaitsForTheClient) {
  const auto folder = TemporaryFolder::make("http_server_test");
  ASSERT_TRUE(folder.ok());
  ServerBench bench;
  std::size_t written = 0;
  bench.serve(
      [&written](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
        co_await responder.start(200, "text/plain");
        bool alive = true;
        while (alive && written < kTotal) {
          written += std::size_t{64} << 10U;
          alive = co_await responder.write(std::string(std::size_t{64} << 10U, 'x'));
        }
        co_await responder.finish();
      },
      {}, UnixAddress{folder.value().path() / "s"});
  bench.play([&written](ServerBench& b) -> asio::awaitable<void> {
    const auto client = co_await b.connect();
    co_await client->send(kGet);
    std::size_t read = 0;
    bool more = true;
    while (more && read < kTotal) {
      // Gives the server every chance to run ahead.
      for (int turn = 0; turn < 20; ++turn) co_await asio::post(b.loop, asio::use_awaitable);
      EXPECT_LE(written, read + kAhead);
      more = co_await client->receive();
      read += client->take(client->buffered()).size();
    }
    EXPECT_GE(read, kTotal);
  });
}

TEST(HostileClient, GivesUpOnAClientThatTakesNothing) {
  const auto folder = TemporaryFolder::make("http_server_test");
  ASSERT_TRUE(folder.ok());
  Limits limits;
  limits.write_time = 20ms;
  ServerBench bench;
  Moment given_up(bench.loop);
  bench.serve(
      [&](Request /*request*/, Responder& responder) -> asio::awaitable<void> {
        const bool sent = co_await responder.send(200, "text/plain", std::string(10'000'000, 'x'));
        EXPECT_FALSE(sent);
        given_up.come();
      },
      limits, UnixAddress{folder.value().path() / "s"});
  bench.play([&](ServerBench& b) -> asio::awaitable<void> {
    const auto client = co_await b.connect();
    co_await client->send(kGet);
    co_await given_up.wait();
  });
}

}  // namespace
}  // namespace caravan::gateway
