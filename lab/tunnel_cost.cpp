// What a tunnel through the link costs against the same bytes over a bare connection: added round trip, and
// bandwidth. A near node, and a far one with an engine that answers, each in a thread of its own: all on this
// machine's loopback, or the far ones on another device (`serve` there, `ask` here).
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

#include <CLI/CLI.hpp>
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

constexpr int kTurns = 10;  // of both, so that what else the machine does comes upon both
constexpr int kBarePort = link::kLinkPort + 1;

struct Effort {
  /// Bytes of a message, there and back. One token's activations are 3.5 KiB in a model of 0.5B, 8 of 1B, 12
  /// of 3B, 16 of 8B.
  std::vector<std::size_t> sizes{64, 3584, 8192, 12288, 16384, 65536};
  int trips = 3000;                                 ///< of each size
  std::size_t bulk_bytes = std::size_t{64} << 20U;  ///< of one message
  int bulks = 16;                                   ///< messages
};

/// Bytes that come, bytes that go back.
using Request = std::array<std::uint64_t, 2>;

/// `think`: a worker computes between question and answer. One that answers at once sends its answer along
/// with TCP's acknowledgement of the question, which saves a turn on the air that no engine saves.
void answer(tcp::socket socket, std::chrono::microseconds think) {
  boost::system::error_code failure;
  socket.set_option(tcp::no_delay(true));
  std::vector<char> bytes;
  for (;;) {
    Request request{};
    asio::read(socket, asio::buffer(request), failure);
    if (failure) return;
    bytes.resize(std::max(request[0], request[1]));
    asio::read(socket, asio::buffer(bytes.data(), request[0]), failure);
    if (failure) return;
    std::this_thread::sleep_for(think);
    asio::write(socket, asio::buffer(bytes.data(), request[1]), failure);
    if (failure) return;
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

using Times = std::vector<Microseconds>;

void add_trips(tcp::socket& socket, std::size_t size, int count, Times& times) {
  std::vector<char> bytes(size, 'x');
  for (int i = 0; i < count; ++i) {
    const auto start = Clock::now();
    ask(socket, bytes, size);
    times.emplace_back(Clock::now() - start);
  }
}

double part_of(Times& times, std::size_t percent) {
  std::sort(times.begin(), times.end());
  return times[times.size() * percent / 100].count();
}

/// Seconds for one message of that many bytes and its one byte of answer.
double bulk(tcp::socket& socket, std::size_t size) {
  std::vector<char> bytes(size, 'x');
  const auto start = Clock::now();
  ask(socket, bytes, 1);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A node that takes every device, and offers `engine` as "rpc".
std::unique_ptr<link::Link> open_link(asio::io_context& loop, const link::Identity& identity,
                                      const std::string& address, int port, std::uint16_t engine) {
  link::LinkOwner owner;
  owner.judge = [](const link::PublicKey&) { return link::Standing::member; };
  owner.hello = [identity_id = identity.id()]() {
    link::Hello hello;
    hello.name = identity_id;
    return hello;
  };
  owner.target = [engine](const std::string&, const std::string&) {
    return caravan::Result<std::uint16_t>(engine);
  };
  owner.opened = [](link::Session&) {};
  owner.liveness = [](link::Session&, link::Liveness) {};
  owner.lost = [](const std::string&, const caravan::Error&) {};
  owner.received = [](link::Session&, const link::Payload&) { return false; };
  link::LinkOptions options;
  options.address = address;
  options.port = port;
  auto opened = link::Link::open(loop.get_executor(), identity, options, std::move(owner));
  if (!opened) fmt::print(stderr, "{}\n", opened.error().message);
  return opened ? std::move(*opened) : nullptr;
}

asio::awaitable<void> connect(link::Link& from, std::string host, int port, std::string& device) {
  const auto session = co_await from.connect(std::move(host), port, "");
  if (session) device = (*session)->peer();
}

[[noreturn]] void answer_all(tcp::acceptor& engine, std::chrono::microseconds think) {
  for (;;) std::thread(answer, engine.accept(), think).detach();
}

/// The far device: an engine for the tunnel, and one at an open port, without encryption.
int serve(const std::string& address, std::chrono::microseconds think) {
  const auto identity = link::Identity::generate();
  if (!identity) return 1;
  asio::io_context loop;
  tcp::acceptor engine(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::thread([&engine, think]() { answer_all(engine, think); }).detach();
  tcp::acceptor bare(loop, tcp::endpoint(asio::ip::make_address(address), kBarePort));
  std::thread([&bare, think]() { answer_all(bare, think); }).detach();
  const auto far = open_link(loop, *identity, address, link::kLinkPort, engine.local_endpoint().port());
  if (!far) return 1;
  fmt::print("ready\n");
  (void)std::fflush(stdout);
  loop.run();
  return 0;
}

void compare(tcp::socket& bare, tcp::socket& through, const Effort& effort) {
  for (tcp::socket* socket : {&bare, &through}) socket->set_option(tcp::no_delay(true));
  for (const std::size_t size : effort.sizes) {
    Times without;
    Times with;
    for (int turn = 0; turn < kTurns; ++turn) {
      add_trips(bare, size, effort.trips / kTurns, without);
      add_trips(through, size, effort.trips / kTurns, with);
    }
    const double difference = part_of(with, 50) - part_of(without, 50);
    fmt::print(
        "round trip of {:6} bytes: bare {:6.0f} us, tunnel {:6.0f} us, p95 {:6.0f} us; added {:6.0f} us\n",
        size, part_of(without, 50), part_of(with, 50), part_of(with, 95), difference);
  }
  std::vector<double> without;
  std::vector<double> with;
  for (int i = 0; i < effort.bulks; ++i) {
    without.push_back(bulk(bare, effort.bulk_bytes));
    with.push_back(bulk(through, effort.bulk_bytes));
  }
  const auto rate = [&](std::vector<double>& times) {
    std::sort(times.begin(), times.end());
    return static_cast<double>(effort.bulk_bytes) / 1e6 / times[times.size() / 2];
  };
  fmt::print("bandwidth: bare {:.1f} MB/s, tunnel {:.1f} MB/s\n", rate(without), rate(with));
  (void)std::fflush(stdout);
}

int ask_far(const std::string& address, int link_port, const tcp::endpoint& bare_engine,
            const Effort& effort) {
  const auto identity = link::Identity::generate();
  if (!identity) return 1;
  asio::io_context near_loop;
  const auto near = open_link(near_loop, *identity, "127.0.0.1", 0, 0);
  if (!near) return 1;
  std::string device;
  asio::co_spawn(near_loop, connect(*near, address, link_port, device),
                 [&](const std::exception_ptr&) { near_loop.stop(); });
  near_loop.run();
  const auto tunnel = near->open_tunnel(device, "rpc");
  if (device.empty() || !tunnel) return 1;
  near_loop.restart();
  std::thread([&near_loop]() { near_loop.run(); }).detach();

  asio::io_context loop;
  tcp::socket bare(loop);
  bare.connect(bare_engine);
  tcp::socket through(loop);
  through.connect(tcp::endpoint(asio::ip::address_v4::loopback(), (*tunnel)->local_port()));
  compare(bare, through, effort);
  std::quick_exit(0);  // the loop's thread owns what it runs on
}

int on_loopback(const Effort& effort, std::chrono::microseconds think) {
  const auto identity = link::Identity::generate();
  if (!identity) return 1;
  asio::io_context loop;
  tcp::acceptor engine(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::thread([&engine, think]() { answer_all(engine, think); }).detach();
  const auto far = open_link(loop, *identity, "127.0.0.1", 0, engine.local_endpoint().port());
  if (!far) return 1;
  std::thread([&loop]() { loop.run(); }).detach();
  return ask_far("127.0.0.1", far->port(), engine.local_endpoint(), effort);
}

}  // namespace

int main(int count, char** words) {
  CLI::App app("What a tunnel costs, against the same bytes without one");
  std::string address;
  int think = 0;
  Effort effort;
  app.add_option("--trips", effort.trips, "of each size")->check(CLI::Range(10, 1'000'000));
  app.add_option("--sizes", effort.sizes, "bytes of a message, there and back")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--think", think, "microseconds from a question to its answer")
      ->check(CLI::Range(0, 1'000'000));
  app.add_option("--bulk", effort.bulk_bytes, "bytes of a large message");
  app.add_option("--bulks", effort.bulks, "large messages")->check(CLI::Range(1, 1000));
  CLI::App* server =
      app.add_subcommand("serve", "the far device: at the link's port and, in plain, at the next")
          ->fallthrough();
  server->add_option("address", address, "IP address of this device")->required();
  CLI::App* asker = app.add_subcommand("ask", "measures against a device that serves")->fallthrough();
  asker->add_option("address", address, "IP address of that device")->required();
  CLI11_PARSE(app, count, words);
  if (*server) return serve(address, std::chrono::microseconds(think));
  if (!*asker) return on_loopback(effort, std::chrono::microseconds(think));
  return ask_far(address, link::kLinkPort, tcp::endpoint(asio::ip::make_address(address), kBarePort), effort);
}
