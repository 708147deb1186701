#include "link/tunnel.h"

#include <numeric>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "base/testing.h"

namespace caravan::link {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);

/// A listening worker and tunnels to it, on one loop.
struct Bench {
  asio::io_context loop;
  tcp::acceptor worker{loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};

  std::unique_ptr<Tunnel> open_tunnel() {
    auto tunnel = Tunnel::open(loop.get_executor(), "127.0.0.1", worker.local_endpoint().port());
    EXPECT_TRUE(tunnel.ok());
    return std::move(*tunnel);
  }
};

tcp::endpoint near_end(const Tunnel& tunnel) {
  return {asio::ip::address_v4::loopback(), tunnel.local_port()};
}

void run(asio::awaitable<void> (*body)(Bench&)) { run_to_end(body, "the tunnel hangs"); }

TEST(Tunnel, CarriesBytesBothWaysAndCountsThem) {
  run([](Bench& bench) -> asio::awaitable<void> {
    const auto tunnel = bench.open_tunnel();
    tcp::socket client(bench.loop);
    co_await client.async_connect(near_end(*tunnel), asio::use_awaitable);
    tcp::socket server = co_await bench.worker.async_accept(asio::use_awaitable);
    std::vector<char> sent(3'000'000);
    std::iota(sent.begin(), sent.end(), '\0');
    std::vector<char> arrived(sent.size());
    auto writing = asio::async_write(client, asio::buffer(sent), asio::use_future);
    co_await asio::async_read(server, asio::buffer(arrived), asio::use_awaitable);
    EXPECT_EQ(sent, arrived);
    co_await asio::async_write(server, asio::buffer(arrived.data(), 1000), asio::use_awaitable);
    co_await asio::async_read(client, asio::buffer(arrived.data(), 1000), asio::use_awaitable);
    EXPECT_EQ(tunnel->counters().sent.count, sent.size());
    EXPECT_EQ(tunnel->counters().received.count, 1000U);
  });
}

TEST(Tunnel, ClosesBothEndsWhenTheWorkerGoes) {
  run([](Bench& bench) -> asio::awaitable<void> {
    const auto tunnel = bench.open_tunnel();
    tcp::socket client(bench.loop);
    co_await client.async_connect(near_end(*tunnel), asio::use_awaitable);
    tcp::socket server = co_await bench.worker.async_accept(asio::use_awaitable);
    server.close();
    char byte = 0;
    auto [failure, got] = co_await client.async_read_some(asio::buffer(&byte, 1), kUseResult);
    EXPECT_TRUE(failure);
  });
}

TEST(Tunnel, TellsWhenTheWorkerEndsAConnectionAndNotWhenTheEngineDoes) {
  run([](Bench& bench) -> asio::awaitable<void> {
    const auto tunnel = bench.open_tunnel();
    int lost = 0;
    tunnel->watch([&lost]() { ++lost; });
    for (const bool by_worker : {false, true}) {
      tcp::socket client(bench.loop);
      co_await client.async_connect(near_end(*tunnel), asio::use_awaitable);
      tcp::socket server = co_await bench.worker.async_accept(asio::use_awaitable);
      tcp::socket& first = by_worker ? server : client;
      tcp::socket& second = by_worker ? client : server;
      first.close();
      char byte = 0;
      auto [failure, got] = co_await second.async_read_some(asio::buffer(&byte, 1), kUseResult);
      EXPECT_TRUE(failure);
      EXPECT_EQ(lost, by_worker ? 1 : 0);
    }
  });
}

TEST(Tunnel, ClosesTheClientWhenNoWorkerListens) {
  run([](Bench& bench) -> asio::awaitable<void> {
    const auto tunnel = bench.open_tunnel();
    bench.worker.close();
    tcp::socket client(bench.loop);
    co_await client.async_connect(near_end(*tunnel), asio::use_awaitable);
    char byte = 0;
    auto [failure, got] = co_await client.async_read_some(asio::buffer(&byte, 1), kUseResult);
    EXPECT_TRUE(failure);
  });
}

TEST(Tunnel, DestructionCutsBothEndsAtOnce) {
  run([](Bench& bench) -> asio::awaitable<void> {
    auto tunnel = bench.open_tunnel();
    const tcp::endpoint address = near_end(*tunnel);
    tcp::socket client(bench.loop);
    co_await client.async_connect(address, asio::use_awaitable);
    tcp::socket server = co_await bench.worker.async_accept(asio::use_awaitable);
    tunnel.reset();
    char byte = 0;
    auto [client_failure, a] = co_await client.async_read_some(asio::buffer(&byte, 1), kUseResult);
    auto [server_failure, b] = co_await server.async_read_some(asio::buffer(&byte, 1), kUseResult);
    EXPECT_TRUE(client_failure);
    EXPECT_TRUE(server_failure);
    tcp::socket late(bench.loop);
    auto [refused] = co_await late.async_connect(address, kUseResult);
    EXPECT_TRUE(refused);
  });
}

TEST(Tunnel, RefusesWhatIsNoAddress) {
  asio::io_context loop;
  EXPECT_EQ(Tunnel::open(loop.get_executor(), "not an address", 5).error().code, Code::invalid);
  EXPECT_EQ(Tunnel::open(loop.get_executor(), "127.0.0.1", 0).error().code, Code::invalid);
  EXPECT_EQ(Tunnel::open(loop.get_executor(), "127.0.0.1", 70000).error().code, Code::invalid);
}

}  // namespace
}  // namespace caravan::link
