// What a tunnel through the link costs against the same bytes over bare loopback: added round trip, and
// bandwidth. Two nodes and an engine that answers, each in a thread of its own.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "link/link.h"

namespace {

namespace asio = boost::asio;
namespace link = caravan::link;
using asio::ip::tcp;
using caravan::Clock;
using Microseconds = std::chrono::duration<double, std::micro>;

constexpr int kTrips = 3000;
constexpr std::size_t kBulkBytes = std::size_t{64} << 20U;
constexpr int kBulks = 16;

/// Bytes that come, bytes that go back.
using Request = std::array<std::uint64_t, 2>;

void answer(tcp::socket socket) {
  boost::system::error_code failure;
  socket.set_option(tcp::no_delay(true));
  std::vector<char> bytes;
  while (!failure) {
    Request request{};
    asio::read(socket, asio::buffer(request), failure);
    bytes.resize(std::max(request[0], request[1]));
    asio::read(socket, asio::buffer(bytes.data(), request[0]), failure);
    asio::write(socket, asio::buffer(bytes.data(), request[1]), failure);
  }
}

/// Written as the engine writes a message: in three pieces.
void ask(tcp::socket& socket, std::vector<char>& bytes, std::size_t back) {
  const Request request{bytes.size(), back};
  asio::write(socket, asio::buffer(&request[0], 1));
  asio::write(socket, asio::buffer(reinterpret_cast<const char*>(&request) + 1, sizeof request - 1));
  asio::write(socket, asio::buffer(bytes));
  std::vector<char> answered(back);
  asio::read(socket, asio::buffer(answered));
}

std::vector<Microseconds> trips(tcp::socket& socket, std::size_t size) {
  std::vector<char> bytes(size, 'x');
  std::vector<Microseconds> times;
  for (int i = 0; i < kTrips; ++i) {
    const auto start = Clock::now();
    ask(socket, bytes, size);
    times.emplace_back(Clock::now() - start);
  }
  std::sort(times.begin(), times.end());
  return times;
}

double megabytes_a_second(tcp::socket& socket) {
  std::vector<char> bytes(kBulkBytes, 'x');
  const auto start = Clock::now();
  for (int i = 0; i < kBulks; ++i) ask(socket, bytes, 1);
  const std::chrono::duration<double> taken = Clock::now() - start;
  return static_cast<double>(kBulkBytes) * kBulks / 1e6 / taken.count();
}

/// A node that takes both devices, and offers `port` as "rpc".
std::unique_ptr<link::Link> open_link(asio::io_context& loop, const link::Identity& identity,
                                      std::uint16_t port) {
  link::LinkOwner owner;
  owner.judge = [](const link::PublicKey&) { return link::Standing::member; };
  owner.hello = [identity_id = identity.id()]() {
    link::Hello hello;
    hello.name = identity_id;
    return hello;
  };
  owner.target = [port](const std::string&, const std::string&) {
    return caravan::Result<std::uint16_t>(port);
  };
  owner.opened = [](link::Session&) {};
  owner.liveness = [](link::Session&, link::Liveness) {};
  owner.lost = [](const std::string&, const caravan::Error&) {};
  owner.received = [](link::Session&, const link::Payload&) { return false; };
  link::LinkOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  auto opened = link::Link::open(loop.get_executor(), identity, options, std::move(owner));
  if (!opened) fmt::print(stderr, "{}\n", opened.error().message);
  return opened ? std::move(*opened) : nullptr;
}

asio::awaitable<void> connect(link::Link& from, int port, std::string device, bool& linked) {
  const auto session = co_await from.connect("127.0.0.1", port, std::move(device));
  linked = session.ok();
}

}  // namespace

int main() {
  const auto near_identity = link::Identity::generate();
  const auto far_identity = link::Identity::generate();
  if (!near_identity || !far_identity) return 1;
  asio::io_context engine_loop;
  tcp::acceptor engine(engine_loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::thread([&engine]() {
    for (;;) std::thread(answer, engine.accept()).detach();
  }).detach();

  asio::io_context far_loop;
  const auto far = open_link(far_loop, *far_identity, engine.local_endpoint().port());
  if (!far) return 1;
  std::thread([&far_loop]() { far_loop.run(); }).detach();
  asio::io_context near_loop;
  const auto near = open_link(near_loop, *near_identity, 0);
  if (!near) return 1;
  bool linked = false;
  asio::co_spawn(near_loop, connect(*near, far->port(), far_identity->id(), linked),
                 [&](const std::exception_ptr&) { near_loop.stop(); });
  near_loop.run();
  const auto tunnel = near->open_tunnel(far_identity->id(), "rpc");
  if (!linked || !tunnel) return 1;
  near_loop.restart();
  std::thread([&near_loop]() { near_loop.run(); }).detach();

  asio::io_context loop;
  tcp::socket bare(loop);
  bare.connect(engine.local_endpoint());
  tcp::socket through(loop);
  through.connect(tcp::endpoint(asio::ip::address_v4::loopback(), (*tunnel)->local_port()));
  for (tcp::socket* socket : {&bare, &through}) socket->set_option(tcp::no_delay(true));
  for (const std::size_t size : {64U, 4096U, 16384U, 65536U}) {
    const auto without = trips(bare, size);
    const auto with = trips(through, size);
    const Microseconds added = with[with.size() / 2] - without[without.size() / 2];
    fmt::print(
        "round trip of {:6} bytes: bare {:6.0f} us, tunnel {:6.0f} us, p95 {:6.0f} us; added {:6.0f} us\n",
        size, without[without.size() / 2].count(), with[with.size() / 2].count(),
        with[with.size() * 95 / 100].count(), added.count());
  }
  const double without = megabytes_a_second(bare);
  const double with = megabytes_a_second(through);
  fmt::print("bandwidth: bare {:.0f} MB/s, tunnel {:.0f} MB/s\n", without, with);
  (void)std::fflush(stdout);
  std::quick_exit(0);  // the loops' threads own what they run on
}
