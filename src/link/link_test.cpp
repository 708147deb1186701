#include "link/link.h"

#include <boost/asio/detached.hpp>

#include "link/link_test_bench.h"

namespace caravan::link {
namespace {

using testing::LinkBench;
using testing::TestNode;

asio::awaitable<void> connect_and_count(TestNode& from, TestNode& to, int& done) {
  (void)co_await from.link->connect("127.0.0.1", to.link->port(), to.id());
  ++done;
}

TEST(Link, MembersMeetAndTalk) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto session = co_await bench.connect();
    if (!session) co_return;
    EXPECT_EQ(session->peer(), bench.worker.id());
    EXPECT_EQ(session->hello().name, "node-2");
    EXPECT_TRUE(session->dialled());
    EXPECT_EQ(bench.master.log, std::vector<std::string>{"opened node-2"});
    EXPECT_EQ(bench.worker.log, std::vector<std::string>{"opened node-1"});
    const auto there = bench.worker.link->session(bench.master.id());
    EXPECT_FALSE(there->dialled());
    EXPECT_TRUE(session->send("note", {{"a", 1}}).ok());
    EXPECT_TRUE(session->send("note", {{"a", 2}}).ok());
    EXPECT_TRUE(there->send("note", "hi").ok());
    co_await bench.until([&]() { return bench.worker.notes.size() == 2 && bench.master.notes.size() == 1; });
    EXPECT_EQ(bench.worker.notes,
              (std::vector<std::string>{R"(node-1 says {"a":1})", R"(node-1 says {"a":2})"}));
    EXPECT_EQ(bench.master.notes, std::vector<std::string>{R"(node-2 says "hi")"});
    co_await bench.until([&]() { return session->round_trip().has_value(); });
    EXPECT_GT(session->round_trip()->median.count(), 0);
    EXPECT_EQ(session->liveness(), Liveness::alive);
  });
}

TEST(Link, ASecondConnectGivesTheSameSession) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto first = co_await bench.connect();
    const auto second = co_await bench.connect();
    EXPECT_EQ(first, second);
    EXPECT_EQ(bench.master.link->sessions().size(), 1U);
  });
}

TEST(Link, AnotherEngineBuildIsRefusedWithTheCure) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.master.engine = "b1234";
    bench.open();
    const auto session =
        co_await bench.master.link->connect("127.0.0.1", bench.worker.link->port(), bench.worker.id());
    EXPECT_FALSE(session.ok());
    if (session) co_return;
    EXPECT_EQ(session.error().code, Code::incompatible);
    EXPECT_EQ(session.error().message, "node-1 runs engine b1234, this cluster b1");
    EXPECT_EQ(session.error().hint, "run `./run build` there");
    EXPECT_TRUE(bench.worker.log.empty());
  });
}

TEST(Link, TheDeviceThatAnswersMustBeTheOneThatWasMeant) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto session =
        co_await bench.master.link->connect("127.0.0.1", bench.worker.link->port(), device_id({}));
    EXPECT_FALSE(session.ok());
    if (!session) {
      EXPECT_EQ(session.error().code, Code::invalid) << session.error().message;
    }
    EXPECT_TRUE(bench.worker.log.empty());
  });
}

TEST(Link, AKeyThatIsNoMemberForTheOtherSideIsRefused) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.members.erase(bench.master.identity.public_key());
    bench.open();
    const auto session =
        co_await bench.master.link->connect("127.0.0.1", bench.worker.link->port(), bench.worker.id());
    EXPECT_FALSE(session.ok());
    if (!session) {
      EXPECT_EQ(session.error().code, Code::invalid) << session.error().message;
    }
    EXPECT_TRUE(bench.master.log.empty());
    EXPECT_TRUE(bench.worker.log.empty());
  });
}

TEST(Link, NobodyThereIsUnavailable) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const int port = bench.worker.link->port();
    bench.worker.link.reset();
    const auto session = co_await bench.master.link->connect("127.0.0.1", port, bench.worker.id());
    EXPECT_FALSE(session.ok());
    if (!session) {
      EXPECT_EQ(session.error().code, Code::unavailable);
    }
  });
}

TEST(Link, DialledFromBothSidesAtOnceOneSessionStaysOnBoth) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    int done = 0;
    asio::co_spawn(bench.loop, connect_and_count(bench.master, bench.worker, done), asio::detached);
    asio::co_spawn(bench.loop, connect_and_count(bench.worker, bench.master, done), asio::detached);
    co_await bench.until([&]() { return done == 2; });
    const auto here = bench.master.link->session(bench.worker.id());
    const auto there = bench.worker.link->session(bench.master.id());
    EXPECT_TRUE(here && there);
    if (!here || !there) co_return;
    EXPECT_NE(here->dialled(), there->dialled()) << "they kept different ones";
    EXPECT_EQ(here->dialled(), bench.master.id() < bench.worker.id());
    EXPECT_TRUE(here->send("note", 1).ok());
    co_await bench.until([&]() { return bench.worker.notes.size() == 1; });
  });
}

TEST(Link, ARestartedDeviceTakesTheOldSessionsPlace) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    TestNode again(bench.loop, 1);  // the same key, another run
    again.members = bench.master.members;
    again.open();
    (void)co_await bench.connect();
    const auto session =
        co_await again.link->connect("127.0.0.1", bench.worker.link->port(), bench.worker.id());
    EXPECT_TRUE(session.ok());
    co_await bench.until([&]() { return bench.worker.log.size() == 3 && bench.master.log.size() == 2; });
    EXPECT_EQ(bench.worker.log, (std::vector<std::string>{"opened node-1", "lost", "opened node-1"}));
    EXPECT_EQ(bench.master.log, (std::vector<std::string>{"opened node-2", "lost"}));
    EXPECT_EQ(bench.worker.link->sessions().size(), 1U);
  });
}

TEST(Link, ASilentDeviceIsSuspectThenLost) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    using std::chrono::milliseconds;
    bench.worker.options.heartbeat = {milliseconds(20), milliseconds(60), milliseconds(120)};
    bench.open();
    // A session that is never started neither reads nor answers: a frozen process whose kernel still does.
    const auto connection = co_await bench.dial_as(bench.master.identity, bench.worker);
    auto socket = co_await MessageSocket::dial(connection, "/caravan/link", kMaxMessageBytes);
    EXPECT_TRUE(socket.ok());
    Hello hello;
    hello.device = bench.master.id();
    hello.name = "frozen";
    hello.instance = "1";
    const auto frozen = co_await Session::greet(std::move(*socket), hello);
    EXPECT_TRUE(frozen.ok());
    co_await bench.until([&]() { return bench.worker.log.size() == 4; });
    EXPECT_EQ(bench.worker.log,
              (std::vector<std::string>{"opened frozen", "frozen suspect", "frozen lost", "lost"}));
    EXPECT_EQ(bench.worker.last_loss.code, Code::disconnected);
    EXPECT_TRUE(bench.worker.link->sessions().empty());
  });
}

TEST(Link, UnknownAndUnreadableMessagesAreAnsweredAndDoNoHarm) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto connection = co_await bench.dial_as(bench.master.identity, bench.worker);
    auto socket = co_await MessageSocket::dial(connection, "/caravan/link", kMaxMessageBytes);
    EXPECT_TRUE(socket.ok());
    Hello hello;
    hello.device = bench.master.id();
    hello.name = "n";
    hello.instance = "1";
    const std::vector<std::string> texts{encode_message(hello), R"({"type":"dance","v":1})", "{{{",
                                         R"({"type":"payload","v":1,"name":"nobody knows","body":1})"};
    for (const std::string& text : texts) {
      const auto sent = co_await (*socket)->send(text);
      EXPECT_TRUE(sent.ok());
    }
    std::vector<std::string> about;
    while (about.size() < 3) {
      const auto text = co_await (*socket)->receive();
      if (!text) break;
      const auto message = decode_message(*text);
      if (const auto* problem = std::get_if<Problem>(&*message)) about.push_back(problem->about);
    }
    EXPECT_EQ(about, (std::vector<std::string>{"dance", "", "nobody knows"}));
    EXPECT_NE(bench.worker.link->session(bench.master.id()), nullptr);
  });
}

TEST(Link, AHelloInAnotherDevicesNameIsRefused) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto connection = co_await bench.dial_as(bench.master.identity, bench.worker);
    auto socket = co_await MessageSocket::dial(connection, "/caravan/link", kMaxMessageBytes);
    EXPECT_TRUE(socket.ok());
    Hello hello;
    hello.device = bench.worker.id();
    hello.name = "liar";
    hello.instance = "1";
    const auto session = co_await Session::greet(std::move(*socket), hello);
    EXPECT_FALSE(session.ok());
    if (!session) {
      EXPECT_EQ(session.error().code, Code::invalid);
    }
    EXPECT_TRUE(bench.worker.log.empty());
  });
}

TEST(Link, AMessageThatIsTooLongEndsTheSession) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto connection = co_await bench.dial_as(bench.master.identity, bench.worker);
    auto socket = co_await MessageSocket::dial(connection, "/caravan/link", 4 * kMaxMessageBytes);
    EXPECT_TRUE(socket.ok());
    Hello hello;
    hello.device = bench.master.id();
    hello.name = "n";
    hello.instance = "1";
    const auto greeted = co_await (*socket)->send(encode_message(hello));
    EXPECT_TRUE(greeted.ok());
    co_await bench.until([&]() { return bench.worker.log.size() == 1; });
    (void)co_await (*socket)->send(std::string(kMaxMessageBytes + 1, 'x'));
    co_await bench.until([&]() { return bench.worker.log.size() == 2; });
    EXPECT_EQ(bench.worker.log.back(), "lost");
    EXPECT_EQ(bench.worker.last_loss.code, Code::exhausted);
  });
}

TEST(Link, WhatIsTooLongIsNotSent) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto session = co_await bench.connect();
    const auto sent = session->send("note", std::string(kMaxMessageBytes, 'x'));
    EXPECT_FALSE(sent.ok());
    if (!sent) {
      EXPECT_EQ(sent.error().code, Code::exhausted);
    }
    Result<void> flooded;
    for (int i = 0; i < 20 && flooded; ++i) flooded = session->send("note", std::string(900'000, 'x'));
    EXPECT_FALSE(flooded.ok()) << "the queue has no limit";
    EXPECT_TRUE(session->open());
  });
}

TEST(Link, RemovalCutsAtOnceAndTheDeviceStaysOut) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto session = co_await bench.connect();
    const auto there = bench.worker.link->session(bench.master.id());
    bench.worker.members.erase(bench.master.identity.public_key());
    bench.worker.link->cut(bench.master.id(), Error{Code::invalid, "removed", ""});
    EXPECT_FALSE(there->open());
    EXPECT_EQ(bench.worker.last_loss.message, "removed");
    EXPECT_FALSE(there->send("note", 1).ok());
    co_await bench.until([&]() { return !session->open(); });
    const auto again =
        co_await bench.master.link->connect("127.0.0.1", bench.worker.link->port(), bench.worker.id());
    EXPECT_FALSE(again.ok());
    EXPECT_EQ(bench.worker.link->sessions().size(), 0U);
  });
}

TEST(Link, AChangeOfTheMembershipCutsWhoIsNoMemberAnyMoreAndNobodyElse) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    const Error removed{Code::invalid, "removed", ""};
    bench.worker.link->cut_strangers(removed);
    EXPECT_NE(bench.worker.link->session(bench.master.id()), nullptr);
    bench.worker.members.erase(bench.master.identity.public_key());
    bench.worker.link->cut_strangers(removed);
    EXPECT_EQ(bench.worker.link->session(bench.master.id()), nullptr);
    EXPECT_EQ(bench.worker.last_loss.message, "removed");
    co_await bench.until([&]() { return bench.master.link->sessions().empty(); });
  });
}

TEST(Link, AnotherProtocolIsRefusedWithTheCure) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto connection = co_await bench.dial_as(bench.master.identity, bench.worker);
    auto socket = co_await MessageSocket::dial(connection, "/caravan/link", kMaxMessageBytes);
    EXPECT_TRUE(socket.ok());
    Hello hello;
    hello.protocol = kLinkVersion + 1;
    hello.device = bench.master.id();
    hello.name = "pixel-9";
    hello.instance = "1";
    const auto session = co_await Session::greet(std::move(*socket), hello);
    EXPECT_FALSE(session.ok());
    if (session) co_return;
    EXPECT_EQ(session.error().code, Code::incompatible);
    EXPECT_EQ(session.error().message, "pixel-9 speaks link protocol 2, this cluster 1");
    EXPECT_EQ(session.error().hint, "update Caravan on node-2");
    EXPECT_TRUE(bench.worker.log.empty());
  });
}

TEST(Link, ADestroyedLinkIsQuiet) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const auto session = co_await bench.connect();
    bench.master.link.reset();
    EXPECT_FALSE(session->open());
    EXPECT_EQ(bench.master.log, std::vector<std::string>{"opened node-2"});
    co_await bench.until([&]() { return bench.worker.link->sessions().empty(); });
  });
}

}  // namespace
}  // namespace caravan::link
