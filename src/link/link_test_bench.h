// For tests of the link: nodes with identities, links and logs on one loop, over real loopback sockets.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include "link/link.h"

namespace caravan::link::testing {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kPatience{20};

inline Identity identity_number(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed.fill(number);
  return std::move(*Identity::from_seed(seed));
}

/// One device, and what its upper layers saw.
struct TestNode {
  TestNode(asio::io_context& loop, std::uint8_t number)
      : executor(loop.get_executor()),
        identity(identity_number(number)),
        name("node-" + std::to_string(number)) {
    options.address = "127.0.0.1";
    options.port = 0;
  }

  void open() {
    LinkOwner owner;
    owner.judge = [this](const PublicKey& key) {
      if (members.count(key) != 0) return Standing::member;
      return pairing_open ? Standing::stranger : Standing::refused;
    };
    owner.hello = [this]() {
      Hello hello;
      hello.name = name;
      hello.engine = engine;
      return hello;
    };
    owner.target = [this](const std::string& device, const std::string& target) -> Result<std::uint16_t> {
      asked.push_back(device + " " + target);
      const auto found = targets.find(target);
      if (found != targets.end()) return found->second;
      return Error{Code::not_found, "no such target", ""};
    };
    owner.opened = [this](Session& session) { log.push_back("opened " + session.hello().name); };
    owner.liveness = [this](Session& session, Liveness now) {
      log.push_back(session.hello().name + " " + std::string(name_of(now)));
    };
    owner.lost = [this](const std::string&, const Error& why) {
      log.emplace_back("lost");
      last_loss = why;
    };
    owner.dialled = [this](const DialReport& report) { dialled.push_back(report); };
    owner.received = [this](Session& session, const Payload& payload) {
      if (payload.name != "note") return false;
      notes.push_back(session.hello().name + " says " + dump_json(payload.body));
      return true;
    };
    if (pairs) {
      owner.pairing = [this](std::unique_ptr<MessageSocket> socket) { return pair(this, std::move(socket)); };
    }
    auto opened = Link::open(executor, identity, options, std::move(owner));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    link = std::move(*opened);
  }

  static asio::awaitable<void> pair(TestNode* self, std::unique_ptr<MessageSocket> socket) {
    self->guests.push_back(socket->connection().peer_key());
    auto text = co_await socket->receive();
    if (text) (void)co_await socket->send("pairing heard " + *text);
  }

  const std::string& id() const { return identity.id(); }

  asio::any_io_executor executor;
  Identity identity;
  std::string name;
  std::string engine = "b1";
  LinkOptions options;
  std::set<PublicKey> members;
  bool pairing_open = false;  ///< the judge takes strangers
  bool pairs = true;          ///< the link has somebody to hand them to
  std::map<std::string, std::uint16_t> targets;
  std::unique_ptr<Link> link;

  std::vector<DialReport> dialled;
  std::vector<std::string> log;
  std::vector<std::string> notes;
  std::vector<std::string> asked;
  Error last_loss;
  std::vector<PublicKey> guests;  ///< who came to pair
};

/// Two members, a master and a worker whose engine listens on loopback, and a stranger that has no link.
struct LinkBench {
  asio::io_context loop;
  TestNode master{loop, 1};
  TestNode worker{loop, 2};
  Identity stranger = identity_number(9);
  asio::ip::tcp::acceptor engine{loop, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)};

  LinkBench() {
    for (TestNode* node : {&master, &worker}) {
      node->members = {master.identity.public_key(), worker.identity.public_key()};
    }
    worker.targets["rpc"] = engine.local_endpoint().port();
  }
  void open() {
    master.open();
    worker.open();
  }

  /// A session, dialled by the master.
  asio::awaitable<std::shared_ptr<Session>> connect() {
    auto session = co_await master.link->connect("127.0.0.1", worker.link->port(), worker.id());
    EXPECT_TRUE(session.ok()) << session.error().message;
    if (!session) co_return nullptr;
    co_await until([this]() { return worker.link->session(master.id()) != nullptr; });
    co_return *session;
  }

  /// Waits for an event that has no other sign. Decision 0006: only what has no destructor is made in a
  /// co_await expression.
  template <typename Condition>
  asio::awaitable<void> until(Condition happened) {
    static_assert(std::is_trivially_destructible_v<Condition>);
    const TimePoint end = Clock::now() + kPatience;
    asio::steady_timer timer(loop);
    while (!happened() && Clock::now() < end) {
      timer.expires_after(std::chrono::milliseconds(1));
      co_await timer.async_wait(kUseResult);
    }
    EXPECT_TRUE(happened()) << "did not happen in time";
  }

  /// Whether the other side has ended this connection, having sent nothing more.
  static asio::awaitable<bool> ended(asio::ip::tcp::socket& socket) {
    char byte = 0;
    auto [failure, got] = co_await socket.async_read_some(asio::buffer(&byte, 1), kUseResult);
    co_return failure&& got == 0;
  }

  asio::awaitable<asio::ip::tcp::socket> dial_loopback(std::uint16_t port) {
    asio::ip::tcp::socket socket(loop);
    const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
    co_await socket.async_connect(endpoint, asio::use_awaitable);
    co_return socket;
  }

  /// A connection to a node, after the handshake as this side sees it, by somebody who takes any key.
  asio::awaitable<std::shared_ptr<TlsConnection>> dial_as(const Identity& who, TestNode& node) {
    KeyCheck anybody = [](const PublicKey&) { return true; };
    auto context = TlsContext::make(who, TlsContext::Side::dial, anybody);
    auto connection = std::make_shared<TlsConnection>(asio::ip::tcp::socket(loop), *context);
    const auto reached = co_await connection->connect("127.0.0.1", node.link->port());
    EXPECT_TRUE(reached.ok());
    (void)co_await connection->handshake();
    co_return connection;
  }

  /// Runs the coroutine to its end, with time to spare.
  static void run(asio::awaitable<void> (*body)(LinkBench&)) {
    LinkBench bench;
    bool finished = false;
    asio::co_spawn(bench.loop, body(bench), [&](const std::exception_ptr& failure) {
      EXPECT_FALSE(failure);
      finished = true;
      bench.loop.stop();
    });
    bench.loop.run_for(kPatience * 3);
    EXPECT_TRUE(finished) << "somebody waits without end";
    // What is still suspended ends with its sockets, before the loop does.
    bench.master.link.reset();
    bench.worker.link.reset();
    bench.loop.restart();
    bench.loop.run_for(kPatience);
  }
};

}  // namespace caravan::link::testing
