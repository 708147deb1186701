// Tunnels through the link: whole bytes, back-pressure, whoever dials, and an end that comes at once.
#include <numeric>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "link/link.h"
#include "link/link_test_bench.h"
#include "link/upgrade.h"

namespace caravan::link {
namespace {

using asio::ip::tcp;
using namespace asio::experimental::awaitable_operators;
using testing::kUseResult;
using testing::LinkBench;

/// A tunnel with a connection through it: what the master's engine holds, and what the worker's does.
struct Connected {
  std::unique_ptr<Tunnel> tunnel;
  tcp::socket near;
  tcp::socket far;
};

asio::awaitable<Connected> connect_through(LinkBench& bench) {
  auto tunnel = bench.master.link->open_tunnel(bench.worker.id(), "rpc");
  EXPECT_TRUE(tunnel.ok());
  tcp::socket near = co_await bench.dial_loopback((*tunnel)->local_port());
  tcp::socket far = co_await bench.engine.async_accept(asio::use_awaitable);
  Connected connected{std::move(*tunnel), std::move(near), std::move(far)};
  co_return connected;
}

asio::awaitable<void> expect_both_ended(Connected& connected) {
  const bool near = co_await LinkBench::ended(connected.near);
  const bool far = co_await LinkBench::ended(connected.far);
  EXPECT_TRUE(near);
  EXPECT_TRUE(far);
}

asio::awaitable<void> expect_that_bytes_pass(Connected& connected) {
  const std::string question = "question";
  const std::string answer = "and its answer";
  std::string heard(question.size(), ' ');
  co_await asio::async_write(connected.near, asio::buffer(question), asio::use_awaitable);
  co_await asio::async_read(connected.far, asio::buffer(heard), asio::use_awaitable);
  EXPECT_EQ(heard, question);
  heard.resize(answer.size());
  co_await asio::async_write(connected.far, asio::buffer(answer), asio::use_awaitable);
  co_await asio::async_read(connected.near, asio::buffer(heard), asio::use_awaitable);
  EXPECT_EQ(heard, answer);
  EXPECT_EQ(connected.tunnel->counters().sent.count, question.size());
  EXPECT_EQ(connected.tunnel->counters().received.count, answer.size());
}

asio::awaitable<void> send_all(tcp::socket& socket, const std::vector<char>& bytes) {
  co_await asio::async_write(socket, asio::buffer(bytes), asio::use_awaitable);
}

asio::awaitable<void> receive_all(tcp::socket& socket, std::vector<char>& bytes) {
  co_await asio::async_read(socket, asio::buffer(bytes), asio::use_awaitable);
}

asio::awaitable<void> echo(tcp::socket& socket, std::size_t count) {
  std::vector<char> chunk(100'000);
  for (std::size_t done = 0; done < count;) {
    const std::size_t got = co_await socket.async_read_some(asio::buffer(chunk), asio::use_awaitable);
    co_await asio::async_write(socket, asio::buffer(chunk.data(), got), asio::use_awaitable);
    done += got;
  }
}

TEST(LinkTunnel, BytesPassWhicheverSideDialledTheSession) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    Connected connected = co_await connect_through(bench);
    co_await expect_that_bytes_pass(connected);
    EXPECT_EQ(bench.worker.asked, std::vector<std::string>{bench.master.id() + " rpc"});
  });
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto session =
        co_await bench.worker.link->connect("127.0.0.1", bench.master.link->port(), bench.master.id());
    EXPECT_TRUE(session.ok());
    co_await bench.until([&]() { return bench.master.link->session(bench.worker.id()) != nullptr; });
    Connected connected = co_await connect_through(bench);
    co_await expect_that_bytes_pass(connected);
    EXPECT_EQ(bench.worker.asked, std::vector<std::string>{bench.master.id() + " rpc"});
  });
}

TEST(LinkTunnel, FiftyMegabytesComeBackAsTheyWere) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    Connected connected = co_await connect_through(bench);
    std::vector<char> sent(50'000'000);
    std::uint32_t state = 1;
    for (char& byte : sent) byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24U);
    std::vector<char> back(sent.size());
    co_await (send_all(connected.near, sent) && echo(connected.far, sent.size()) &&
              receive_all(connected.near, back));
    EXPECT_TRUE(sent == back);
    EXPECT_EQ(connected.tunnel->counters().sent.count, sent.size());
    EXPECT_EQ(connected.tunnel->counters().received.count, sent.size());
  });
}

/// Its first records come together with the answer to the upgrade.
TEST(LinkTunnel, WhatAWorkerSaysUnaskedComesThrough) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    auto tunnel = bench.master.link->open_tunnel(bench.worker.id(), "rpc");
    EXPECT_TRUE(tunnel.ok());
    tcp::socket near = co_await bench.dial_loopback((*tunnel)->local_port());
    tcp::socket far = co_await bench.engine.async_accept(asio::use_awaitable);
    std::vector<char> said(3'000'000);
    std::iota(said.begin(), said.end(), '\0');
    std::vector<char> heard(said.size());
    co_await (send_all(far, said) && receive_all(near, heard));
    EXPECT_TRUE(heard == said);
  });
}

/// RFC 8446, section 4.6.3: the other side may ask for new keys at any time.
TEST(LinkTunnel, NewKeysMayBeAskedFor) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    const auto connection = co_await bench.dial_as(bench.master.identity, bench.worker);
    const auto early = co_await ask_for_tunnel(*connection, "target=rpc");
    EXPECT_TRUE(early.ok());
    tcp::socket far = co_await bench.engine.async_accept(asio::use_awaitable);
    TlsStream& near = connection->stream();
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(SSL_key_update(near.native_handle(), SSL_KEY_UPDATE_REQUESTED), 1);
      std::string text = "with the new keys";
      co_await asio::async_write(near, asio::buffer(text), asio::use_awaitable);
      std::vector<char> heard(text.size());
      co_await receive_all(far, heard);
      EXPECT_EQ(std::string(heard.begin(), heard.end()), text);
      co_await send_all(far, heard);
      text.assign(text.size(), ' ');
      co_await asio::async_read(near, asio::buffer(text), asio::use_awaitable);
      EXPECT_EQ(text, std::string(heard.begin(), heard.end()));
    }
  });
}

TEST(LinkTunnel, AWorkerThatDoesNotReadHoldsTheSenderBack) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    Connected connected = co_await connect_through(bench);
    const std::vector<char> sent(100'000'000, 'x');
    bool all_sent = false;
    asio::co_spawn(bench.loop, send_all(connected.near, sent),
                   [&](const std::exception_ptr& failure) { all_sent = !failure; });
    // Time for far more than the kernel's buffers on the way take, if nothing held it back.
    asio::steady_timer timer(bench.loop);
    std::uint64_t before = 0;
    std::uint64_t now = connected.tunnel->counters().sent.count;
    while (now != before || now == 0) {
      timer.expires_after(std::chrono::milliseconds(200));
      co_await timer.async_wait(kUseResult);
      before = std::exchange(now, connected.tunnel->counters().sent.count);
    }
    EXPECT_LT(now, 80'000'000U);
    EXPECT_FALSE(all_sent);
    std::vector<char> arrived(sent.size());
    co_await receive_all(connected.far, arrived);
    EXPECT_TRUE(arrived == sent);
    co_await bench.until([&]() { return all_sent; });
  });
}

TEST(LinkTunnel, BothEndsCloseWhenTheDeviceIsCutOnEitherSide) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    Connected connected = co_await connect_through(bench);
    bench.worker.link->cut(bench.master.id(), Error{Code::invalid, "removed", ""});
    co_await expect_both_ended(connected);
  });
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    Connected connected = co_await connect_through(bench);
    bench.master.link->cut(bench.worker.id(), Error{Code::invalid, "removed", ""});
    co_await expect_both_ended(connected);
  });
}

TEST(LinkTunnel, BothEndsCloseWhenTheDeviceFallsSilent) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    using std::chrono::milliseconds;
    bench.master.options.heartbeat = {milliseconds(20), milliseconds(60), milliseconds(120)};
    bench.open();
    // The worker greets, and then neither beats nor reads.
    const auto connection = co_await bench.dial_as(bench.worker.identity, bench.master);
    auto socket = co_await MessageSocket::dial(connection, "/caravan/link", kMaxMessageBytes);
    EXPECT_TRUE(socket.ok());
    Hello hello;
    hello.device = bench.worker.id();
    hello.name = "frozen";
    hello.instance = "1";
    const auto frozen = co_await Session::greet(std::move(*socket), hello);
    EXPECT_TRUE(frozen.ok());
    bench.master.targets["echo"] = bench.engine.local_endpoint().port();
    const auto tunnel = co_await bench.dial_as(bench.worker.identity, bench.master);
    const auto early = co_await ask_for_tunnel(*tunnel, "target=echo");
    EXPECT_TRUE(early.ok());
    tcp::socket engine = co_await bench.engine.async_accept(asio::use_awaitable);
    const bool engine_ended = co_await LinkBench::ended(engine);
    EXPECT_TRUE(engine_ended);
    EXPECT_EQ(bench.master.log.back(), "lost");
  });
}

TEST(LinkTunnel, BothEndsCloseWhenOneOfThemDoes) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    Connected first = co_await connect_through(bench);
    first.far.close();
    const bool near_ended = co_await LinkBench::ended(first.near);
    EXPECT_TRUE(near_ended);
    Connected second = co_await connect_through(bench);
    second.tunnel.reset();
    co_await expect_both_ended(second);
    EXPECT_NE(bench.master.link->session(bench.worker.id()), nullptr)
        << "the session has nothing to do with it";
  });
}

TEST(LinkTunnel, WithoutASessionOrAWorkerTheConnectionEnds) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    auto tunnel = bench.master.link->open_tunnel(bench.worker.id(), "rpc");
    EXPECT_TRUE(tunnel.ok());
    tcp::socket without = co_await bench.dial_loopback((*tunnel)->local_port());
    const bool ended = co_await LinkBench::ended(without);
    EXPECT_TRUE(ended);
    EXPECT_TRUE(bench.worker.asked.empty());
    (void)co_await bench.connect();
    bench.engine.close();
    tcp::socket no_worker = co_await bench.dial_loopback((*tunnel)->local_port());
    const bool ended_too = co_await LinkBench::ended(no_worker);
    EXPECT_TRUE(ended_too);
    EXPECT_EQ(bench.worker.asked.size(), 1U);
  });
}

TEST(LinkTunnel, TargetsThatTheOtherSideDoesNotAllowAreRefusedAlsoWhenItDials) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    auto here = bench.master.link->open_tunnel(bench.worker.id(), "ssh");
    auto there = bench.worker.link->open_tunnel(bench.master.id(), "ssh");
    tcp::socket dialled = co_await bench.dial_loopback((*here)->local_port());
    tcp::socket asked_back = co_await bench.dial_loopback((*there)->local_port());
    const bool dialled_ended = co_await LinkBench::ended(dialled);
    const bool asked_ended = co_await LinkBench::ended(asked_back);
    EXPECT_TRUE(dialled_ended && asked_ended);
    EXPECT_EQ(bench.worker.asked, std::vector<std::string>{bench.master.id() + " ssh"});
    EXPECT_EQ(bench.master.asked, std::vector<std::string>{bench.worker.id() + " ssh"});
  });
}

TEST(LinkTunnel, AMemberWithoutASessionOrWithAGuessedTokenGetsNone) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    auto connection = co_await bench.dial_as(bench.master.identity, bench.worker);
    const auto early = co_await ask_for_tunnel(*connection, "target=rpc");
    EXPECT_FALSE(early.ok());
    if (!early) {
      EXPECT_EQ(early.error().code, Code::unavailable);
    }
    EXPECT_TRUE(bench.worker.asked.empty());
    (void)co_await bench.connect();
    connection = co_await bench.dial_as(bench.master.identity, bench.worker);
    const auto guessed = co_await ask_for_tunnel(*connection, "token=00112233445566778899aabbccddeeff");
    EXPECT_FALSE(guessed.ok());
    if (!guessed) {
      EXPECT_EQ(guessed.error().code, Code::not_found);
    }
  });
}

TEST(LinkTunnel, OneDeviceHasOnlySoMany) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.options.tunnels_per_device = 1;
    bench.open();
    (void)co_await bench.connect();
    Connected first = co_await connect_through(bench);
    tcp::socket second = co_await bench.dial_loopback(first.tunnel->local_port());
    const bool ended = co_await LinkBench::ended(second);
    EXPECT_TRUE(ended);
    first.near.close();
    const bool far_ended = co_await LinkBench::ended(first.far);
    EXPECT_TRUE(far_ended);
    Connected third = co_await connect_through(bench);
    co_await expect_that_bytes_pass(third);
  });
}

}  // namespace
}  // namespace caravan::link
