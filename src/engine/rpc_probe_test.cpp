#include "engine/rpc_probe.h"

#include <array>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

#include "engine/ports.h"
#include "engine/testing.h"

namespace caravan::engine {
namespace {

using asio::ip::tcp;
using testing::HasSubstr;
using testing_support::run;
using namespace std::chrono_literals;
using namespace std::string_literals;
constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);

/// The bytes that a llama.cpp of protocol 7 sends and gets, as recorded.
const std::string kHello = "\x0e\x18\0\0\0\0\0\0\0"s + std::string(24, '\0');
const std::string kReply = "\x1c\0\0\0\0\0\0\0\x07\0\x02\0"s + std::string(24, '\0');

TEST(RpcProbe, HelloAsBytes) {
  EXPECT_EQ(rpc_hello_request(HelloForm::with_capabilities), kHello);
  EXPECT_EQ(rpc_hello_request(HelloForm::bare), "\x0e\0\0\0\0\0\0\0\0"s);
}

TEST(RpcProbe, ReplyFromBytes) {
  EXPECT_EQ(*parse_rpc_reply_length(kReply.substr(0, 8)), 28U);
  EXPECT_EQ(*parse_rpc_hello(kReply.substr(8)), (RpcVersion{7, 0, 2}));
  EXPECT_EQ(to_string(RpcVersion{7, 0, 2}), "7.0.2");
  EXPECT_EQ(*parse_rpc_hello("\xff\x01\x02"s), (RpcVersion{255, 1, 2}));
}

TEST(RpcProbe, WhatIsNoReplyIsRefused) {
  for (const std::string& bytes : {""s, "\x1c"s, "\x02\0\0\0\0\0\0\0"s, "\0\0\0\0\0\0\0\0"s,
                                   "\x1c\0\0\0\0\0\0\x80"s, "HTTP/1.1"s, "\x01\x01\0\0\0\0\0\0"s}) {
    EXPECT_EQ(parse_rpc_reply_length(bytes).error().code, Code::incompatible) << bytes;
  }
  EXPECT_EQ(parse_rpc_hello("\x07\0"s).error().code, Code::incompatible);
}

/// Serves one connection after another: takes `expected` bytes, answers with `reply`, closes.
struct FakeServer {
  asio::io_context loop;
  tcp::acceptor acceptor{loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::vector<std::string> received;

  asio::awaitable<void> serve_one(std::size_t expected, std::string reply) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    std::string bytes(expected, '\0');
    co_await asio::async_read(socket, asio::buffer(bytes), kUseResult);
    received.push_back(bytes);
    co_await asio::async_write(socket, asio::buffer(reply), kUseResult);
  }
  Result<RpcVersion> hello(std::chrono::milliseconds timeout) {
    Result<RpcVersion> answer = Error{};
    run(loop, ask(TcpAddress{"127.0.0.1", acceptor.local_endpoint().port()}, timeout, answer));
    return answer;
  }
  asio::awaitable<void> ask(TcpAddress address, std::chrono::milliseconds timeout,
                            Result<RpcVersion>& answer) {
    answer = co_await rpc_hello(loop.get_executor(), address, timeout);
  }
};

TEST(RpcProbe, AsksAServer) {
  FakeServer server;
  asio::co_spawn(server.loop, server.serve_one(kHello.size(), kReply), asio::detached);
  const auto answer = server.hello(10s);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(*answer, (RpcVersion{7, 0, 2}));
  EXPECT_EQ(server.received.at(0), kHello);
}

/// The payload of each reply, on one connection.
asio::awaitable<void> offer(FakeServer& server, std::string count, std::string memory) {
  tcp::socket socket = co_await server.acceptor.async_accept(asio::use_awaitable);
  const std::array<std::pair<std::size_t, std::string>, 3> talk{
      {{kHello.size(), kReply},
       {9, std::string(1, static_cast<char>(count.size())) + std::string(7, '\0') + count},
       {13, std::string(1, static_cast<char>(memory.size())) + std::string(7, '\0') + memory}}};
  for (const auto& [expected, reply] : talk) {
    std::string bytes(expected, '\0');
    const auto [failure, got] = co_await asio::async_read(socket, asio::buffer(bytes), kUseResult);
    if (failure) co_return;
    server.received.push_back(bytes);
    co_await asio::async_write(socket, asio::buffer(reply), kUseResult);
  }
}

asio::awaitable<void> ask_offer(FakeServer& server, Result<RpcOffer>& answer) {
  const TcpAddress address{"127.0.0.1", server.acceptor.local_endpoint().port()};
  answer = co_await rpc_offer(server.loop.get_executor(), address, 10s);
}

Result<RpcOffer> offer_of(FakeServer& server, const std::string& count, const std::string& memory) {
  asio::co_spawn(server.loop, offer(server, count, memory), asio::detached);
  Result<RpcOffer> answer = Error{};
  run(server.loop, ask_offer(server, answer));
  return answer;
}

TEST(RpcProbe, AsksWhatAServerOffers) {
  FakeServer server;
  const auto answer = offer_of(server, "\x01\0\0\0"s, "\0\0\0\x40\0\0\0\0"s + "\0\0\0\x80\0\0\0\0"s);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->free_memory, mebibytes(1024));
  EXPECT_EQ(answer->version, (RpcVersion{7, 0, 2}));
  EXPECT_EQ(server.received,
            (std::vector<std::string>{kHello, "\x0f\0\0\0\0\0\0\0\0"s, "\x0b\x04\0\0\0\0\0\0\0\0\0\0\0"s}));
}

TEST(RpcProbe, AnOfferThatCannotBeUsedIsRefused) {
  for (const auto& [count, memory] :
       {std::pair("\x02\0\0\0"s, std::string(16, '\0')), std::pair("\x01\0\0"s, std::string(16, '\0')),
        std::pair("\x01\0\0\0"s, std::string(15, '\0'))}) {
    FakeServer server;
    const auto answer = offer_of(server, count, memory);
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, Code::incompatible) << answer.error().message;
  }
}

asio::awaitable<void> older_server(FakeServer& server) {
  co_await server.serve_one(9, "");  // it does not understand the capabilities and closes
  co_await server.serve_one(9, "\x03\0\0\0\0\0\0\0\x02\0\x01"s);
}

TEST(RpcProbe, AsksAServerOfAnOlderProtocol) {
  FakeServer server;
  asio::co_spawn(server.loop, older_server(server), asio::detached);
  const auto answer = server.hello(10s);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(*answer, (RpcVersion{2, 0, 1}));
  EXPECT_EQ(server.received.at(1), "\x0e\0\0\0\0\0\0\0\0"s);
}

TEST(RpcProbe, SomethingElseListens) {
  FakeServer server;
  asio::co_spawn(server.loop, server.serve_one(kHello.size(), "HTTP/1.1 400 Bad Request\r\n\r\n"),
                 asio::detached);
  const auto answer = server.hello(10s);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, Code::incompatible);
}

TEST(RpcProbe, ABusyServerDoesNotAnswer) {
  FakeServer server;  // the connection waits in the queue of its port
  const auto answer = server.hello(50ms);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, Code::unavailable);
}

TEST(RpcProbe, NobodyListens) {
  FakeServer server;
  const std::uint16_t port = server.acceptor.local_endpoint().port();
  server.acceptor.close();
  Result<RpcVersion> answer = Error{};
  run(server.loop, server.ask(TcpAddress{"127.0.0.1", port}, 10s, answer));
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, Code::disconnected);
  EXPECT_THAT(answer.error().message, HasSubstr(std::to_string(port)));
}

TEST(Ports, AFreePortCanBeBound) {
  const auto port = free_port();
  ASSERT_TRUE(port.ok());
  asio::io_context loop;
  EXPECT_NO_THROW(tcp::acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), *port)));
}

TEST(Ports, ATakenPortOfARankIsAvoided) {
  asio::io_context loop;
  tcp::acceptor taken(loop);
  taken.open(tcp::v4());
  // Whether we get it or somebody else has it already: it is taken.
  boost::system::error_code in_use;
  taken.bind(tcp::endpoint(asio::ip::address_v4::loopback(), 50051 + 12'345), in_use);
  if (!in_use) taken.listen();
  const auto port = choose_rpc_port(12'345);
  ASSERT_TRUE(port.ok());
  EXPECT_NE(*port, 50051 + 12'345);
}

TEST(Ports, ARanksPortIsPreferred) {
  // Some rank's port is free for the moment that this takes, unless thousands of programs listen.
  int preferred = 0;
  for (int rank = 2'000; rank < 2'020; ++rank) {
    if (*choose_rpc_port(rank) == 50051 + rank) ++preferred;
  }
  EXPECT_GT(preferred, 0);
  EXPECT_NE(*choose_rpc_port(70'000), 0) << "a rank beyond all ports gets one, too";
}

}  // namespace
}  // namespace caravan::engine
