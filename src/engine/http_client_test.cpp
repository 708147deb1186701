#include "engine/http_client.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

namespace caravan::engine {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using testing::HasSubstr;

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr auto kLong = 20s;  // never passes in a test that works

/// A server of one connection: takes one request's header, then writes what it was told to, piece by piece.
struct Bench {
  enum class End { close, hold };

  asio::io_context loop;
  tcp::acceptor acceptor{loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  asio::steady_timer request_arrived{loop, asio::steady_timer::time_point::max()};
  std::string received;
  bool client_left = false;

  HttpAddress address() { return TcpAddress{"127.0.0.1", acceptor.local_endpoint().port()}; }

  void serve(std::vector<std::string> pieces, End end = End::close) {
    asio::co_spawn(loop, answer(std::move(pieces), end), asio::detached);
  }

  asio::awaitable<void> answer(std::vector<std::string> pieces, End end) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    co_await asio::async_read_until(socket, asio::dynamic_buffer(received), "\r\n\r\n", kUseResult);
    request_arrived.expires_at(asio::steady_timer::time_point::min());
    for (const std::string& piece : pieces)
      co_await asio::async_write(socket, asio::buffer(piece), kUseResult);
    if (end == End::close) co_return;
    std::string more;
    const auto [error, count] =
        co_await asio::async_read_until(socket, asio::dynamic_buffer(more), "\r\n\r\n", kUseResult);
    client_left = error.failed();
  }

  /// Runs `body` to its end, 20 s at most, and then whatever the server still does.
  void run(asio::awaitable<void> body) {
    bool finished = false;
    asio::co_spawn(loop, std::move(body), [&finished](const std::exception_ptr& failure) {
      EXPECT_FALSE(failure);
      finished = true;
    });
    loop.run_for(kLong);
    EXPECT_TRUE(finished) << "the client hangs";
  }
};

HttpRequest get(std::string target = "/") {
  HttpRequest request;
  request.target = std::move(target);
  return request;
}

asio::awaitable<void> call(HttpAddress address, HttpRequest request, std::optional<Result<HttpReply>>& result,
                           std::chrono::milliseconds timeout = kLong, std::size_t limit = 1000) {
  result = co_await http_call(std::move(address), std::move(request), timeout, limit);
}

Result<HttpReply> reply_to(std::vector<std::string> pieces, HttpRequest request = get()) {
  Bench bench;
  bench.serve(std::move(pieces));
  std::optional<Result<HttpReply>> result;
  bench.run(call(bench.address(), std::move(request), result));
  return *result;
}

TEST(HttpClient, ReadsAReplyWithALength) {
  const auto reply = reply_to({"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-Thing: one\r\n\r\nhello"});
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->status, 201U);
  EXPECT_EQ(reply->body, "hello");
  ASSERT_NE(find_header(reply->headers, "x-thing"), nullptr);
  EXPECT_EQ(*find_header(reply->headers, "x-thing"), "one");
  EXPECT_EQ(find_header(reply->headers, "x-other"), nullptr);
}

TEST(HttpClient, ReadsChunksHoweverTheyAreCut) {
  const std::string whole =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n";
  std::vector<std::string> pieces;
  for (const char c : whole) pieces.emplace_back(1, c);
  const auto reply = reply_to(pieces);
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->body, "hello world");
}

TEST(HttpClient, ReadsUntilTheConnectionEndsWhenNoLengthIsGiven) {
  const auto reply = reply_to({"HTTP/1.0 200 OK\r\n\r\nhel", "lo"});
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->body, "hello");
}

TEST(HttpClient, AReplyToHeadHasNoBody) {
  HttpRequest request;
  request.method = "HEAD";
  const auto reply = reply_to({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"}, request);
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->body, "");
}

TEST(HttpClient, ABodyThatIsCutIsDisconnected) {
  for (const auto* cut :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "HTTP/1.1 200 O", ""}) {
    const auto reply = reply_to({cut});
    ASSERT_FALSE(reply.ok()) << cut;
    EXPECT_EQ(reply.error().code, Code::disconnected) << cut;
  }
}

TEST(HttpClient, WhatIsNoHttpIsDisconnected) {
  for (const std::string& text :
       {std::string("\x16\x03\x01 hello\r\n\r\n"), "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x'),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")}) {
    const auto reply = reply_to({text});
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code, Code::disconnected);
  }
}

TEST(HttpClient, RefusesAReplyThatIsLongerThanAllowed) {
  const auto reply =
      reply_to({"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", std::string(2000, 'x')});
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code, Code::exhausted);
}

TEST(HttpClient, SendsTheWholeRequest) {
  Bench bench;
  bench.serve({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
  HttpRequest request{"POST", "/v1/x?y=z", {{"X-Thing", "one"}}, "body"};
  std::optional<Result<HttpReply>> result;
  bench.run(call(bench.address(), request, result));
  ASSERT_TRUE(result->ok());
  EXPECT_EQ(bench.received, "POST /v1/x?y=z HTTP/1.1\r\nHost: " + to_string(bench.address()) +
                                "\r\nConnection: close\r\nX-Thing: one\r\nContent-Length: 4\r\n\r\nbody");
}

TEST(HttpClient, RefusesToSendWhatWouldChangeItsOwnMeaning) {
  const std::vector<HttpRequest> bad{get("/a b"),
                                     get("/a\r\nX: y"),
                                     get("a"),
                                     {"GET /x", "/", {}, ""},
                                     {"GET", "/", {{"X", "y\r\nZ: 1"}}, ""}};
  for (const HttpRequest& request : bad) {
    Bench bench;
    std::optional<Result<HttpReply>> result;
    bench.run(call(bench.address(), request, result));
    ASSERT_FALSE(result->ok());
    EXPECT_EQ(result->error().code, Code::invalid);
  }
}

TEST(HttpClient, NobodyThereIsDisconnected) {
  Bench bench;
  const HttpAddress address = bench.address();
  bench.acceptor.close();
  std::optional<Result<HttpReply>> result;
  bench.run(call(address, get(), result));
  ASSERT_FALSE(result->ok());
  EXPECT_EQ(result->error().code, Code::disconnected);
  EXPECT_THAT(result->error().message, HasSubstr(to_string(address)));
}

TEST(HttpClient, SilenceEndsWithTheTimeout) {
  for (const auto* beginning :
       {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"}) {
    Bench bench;
    bench.serve({beginning}, Bench::End::hold);
    std::optional<Result<HttpReply>> result;
    bench.run(call(bench.address(), get(), result, 30ms));
    ASSERT_FALSE(result->ok());
    EXPECT_EQ(result->error().code, Code::unavailable);
    EXPECT_TRUE(bench.client_left);
  }
}

TEST(HttpClient, HostsAreAddressesAndPathsFitASocket) {
  for (const HttpAddress& address : {HttpAddress(TcpAddress{"example.invalid", 80}),
                                     HttpAddress(UnixAddress{"/tmp/" + std::string(200, 'x')})}) {
    Bench bench;
    std::optional<Result<HttpReply>> result;
    bench.run(call(address, get(), result));
    ASSERT_FALSE(result->ok());
    EXPECT_EQ(result->error().code, Code::invalid);
  }
}

asio::awaitable<void> read_in_pieces(Bench& bench, std::vector<std::string>& pieces) {
  auto exchange = co_await HttpExchange::open(bench.loop.get_executor(), bench.address(), get(), kLong);
  EXPECT_TRUE(exchange.ok());
  const auto head = co_await exchange->read_head(kLong);
  EXPECT_TRUE(head.ok());
  bool more = true;
  while (more) {
    const auto piece = co_await exchange->read_some(kLong);
    EXPECT_TRUE(piece.ok());
    more = piece.ok() && !piece->empty();
    if (more) pieces.push_back(*piece);
  }
}

TEST(HttpClient, ALongBodyComesInBoundedPieces) {
  Bench bench;
  std::string body;
  for (int i = 0; body.size() < 300'000; ++i) body += std::to_string(i) + ",";
  bench.serve({"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body});
  std::vector<std::string> pieces;
  bench.run(read_in_pieces(bench, pieces));
  std::string joined;
  for (const std::string& piece : pieces) {
    EXPECT_LE(piece.size(), std::size_t{16} << 10U);
    joined += piece;
  }
  EXPECT_EQ(joined, body);
}

asio::awaitable<void> wait_for_head(Bench& bench) {
  auto exchange = co_await HttpExchange::open(bench.loop.get_executor(), bench.address(), get(), kLong);
  EXPECT_TRUE(exchange.ok());
  const auto head = co_await exchange->read_head(kLong);
  EXPECT_FALSE(head.ok());
}

asio::awaitable<void> until_request_arrived(Bench& bench) {
  co_await bench.request_arrived.async_wait(kUseResult);
}

asio::awaitable<void> cancel_a_wait(Bench& bench) {
  using namespace asio::experimental::awaitable_operators;
  co_await (wait_for_head(bench) || until_request_arrived(bench));
}

TEST(HttpClient, CancellingAWaitClosesTheConnection) {
  Bench bench;
  bench.serve({}, Bench::End::hold);
  bench.run(cancel_a_wait(bench));
  EXPECT_TRUE(bench.client_left);
}

/// Answers before it has read the body, and reads nothing more.
asio::awaitable<void> refuse_early(asio::local::stream_protocol::acceptor& acceptor) {
  auto socket = co_await acceptor.async_accept(asio::use_awaitable);
  socket.shutdown(asio::socket_base::shutdown_receive);
  const std::string reply = "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno";
  co_await asio::async_write(socket, asio::buffer(reply), kUseResult);
}

TEST(HttpClient, ReadsARefusalThatComesBeforeTheWholeBodyWasTaken) {
  const auto folder = TemporaryFolder::make("http_client_test");
  ASSERT_TRUE(folder.ok());
  const fs::path path = folder.value().path() / "s";
  Bench bench;
  asio::local::stream_protocol::acceptor acceptor(bench.loop,
                                                  asio::local::stream_protocol::endpoint(path.string()));
  asio::co_spawn(bench.loop, refuse_early(acceptor), asio::detached);
  HttpRequest request{"POST", "/", {}, std::string(4'000'000, 'x')};
  std::optional<Result<HttpReply>> result;
  bench.run(call(UnixAddress{path}, request, result));
  ASSERT_TRUE(result->ok()) << result->error().message;
  EXPECT_EQ((*result)->status, 413U);
  EXPECT_EQ((*result)->body, "no");
}

TEST(HttpAddress, IsWrittenForPeople) {
  EXPECT_EQ(to_string(TcpAddress{"127.0.0.1", 80}), "127.0.0.1:80");
  EXPECT_EQ(to_string(TcpAddress{"::1", 80}), "[::1]:80");
  EXPECT_EQ(to_string(UnixAddress{"/a/b"}), "/a/b");
}

}  // namespace
}  // namespace caravan::engine
