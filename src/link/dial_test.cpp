// The dialling side: whom it takes, what a device that is not yet a member can reach, and that a dial ends
// with the link that began it.
#include "link/dial.h"

#include <array>
#include <optional>

#include <boost/asio/detached.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <openssl/ssl.h>

#include "link/link_test_bench.h"

namespace caravan::link {
namespace {

using asio::ip::tcp;
using testing::kUseResult;
using testing::LinkBench;

bool anybody(const PublicKey&) { return true; }

/// Somebody else's server, with any settings of TLS.
struct Impostor {
  Impostor(asio::io_context& loop, const Identity& identity, asio::ssl::context::method method)
      : acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), context(method) {
    EXPECT_EQ(SSL_CTX_use_certificate(context.native_handle(), identity.certificate()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context.native_handle(), identity.key()), 1);
  }
  int port() const { return acceptor.local_endpoint().port(); }

  /// Takes one connection and keeps what is said inside TLS.
  static asio::awaitable<void> serve(Impostor* self) {
    tcp::socket socket = co_await self->acceptor.async_accept(asio::use_awaitable);
    asio::ssl::stream<tcp::socket> stream(std::move(socket), self->context);
    auto [refused] = co_await stream.async_handshake(asio::ssl::stream_base::server, kUseResult);
    std::array<char, 4096> chunk{};
    bool open = !refused;
    while (open) {
      auto [failure, got] = co_await stream.async_read_some(asio::buffer(chunk), kUseResult);
      self->heard.append(chunk.data(), got);
      open = !failure;
    }
    self->done = true;
  }

  tcp::acceptor acceptor;
  asio::ssl::context context;
  std::string heard;
  bool done = false;
};

asio::awaitable<void> expect_refusal(LinkBench& bench, Impostor& impostor, Code code) {
  asio::co_spawn(bench.loop, Impostor::serve(&impostor), asio::detached);
  const auto session = co_await bench.master.link->connect("127.0.0.1", impostor.port(), bench.worker.id());
  EXPECT_FALSE(session.ok());
  if (!session) {
    EXPECT_EQ(session.error().code, code) << session.error().message;
  }
  co_await bench.until([&]() { return impostor.done; });
  EXPECT_EQ(impostor.heard, "") << "said something to a stranger";
}

TEST(Dial, AStrangersServerIsToldNothing) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    Impostor impostor(bench.loop, bench.stranger, asio::ssl::context::tlsv13_server);
    co_await expect_refusal(bench, impostor, Code::invalid);
  });
}

TEST(Dial, AMembersKeyWithTls12IsToldNothing) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    Impostor old(bench.loop, bench.worker.identity, asio::ssl::context::tlsv12_server);
    co_await expect_refusal(bench, old, Code::invalid);
  });
}

struct Dialled {
  bool done = false;
  std::optional<Error> error;
};

asio::awaitable<void> connect_to(asio::awaitable<Result<std::shared_ptr<Session>>> dialling,
                                 Dialled& dialled) {
  const auto session = co_await std::move(dialling);
  if (!session) dialled.error = session.error();
  dialled.done = true;
}

TEST(Dial, ARunningOneEndsWithItsLink) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    tcp::acceptor silent(bench.loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    Dialled dialled;
    const int port = silent.local_endpoint().port();
    auto dialling = bench.master.link->connect("127.0.0.1", port, bench.worker.id());
    asio::co_spawn(bench.loop, connect_to(std::move(dialling), dialled), asio::detached);
    const tcp::socket held = co_await silent.async_accept(asio::use_awaitable);
    EXPECT_FALSE(dialled.done);
    bench.master.link.reset();
    co_await bench.until([&]() { return dialled.done; });
    EXPECT_TRUE(dialled.error && dialled.error->code == Code::interrupted);
  });
}

TEST(Dial, OneThatBeginsAfterItsLinkIsGoneDoesNothing) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const int port = bench.worker.link->port();
    auto dialling = bench.master.link->connect("127.0.0.1", port, bench.worker.id());
    bench.master.link.reset();
    const auto session = co_await std::move(dialling);
    EXPECT_FALSE(session.ok());
    if (!session) {
      EXPECT_EQ(session.error().code, Code::interrupted);
    }
  });
}

TEST(DialPairing, AStrangerAndTheOwnersDeviceLearnEachOthersKeyAndTalk) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.pairing_open = true;
    bench.open();
    auto socket = co_await dial_pairing(bench.worker.executor, bench.stranger, "127.0.0.1",
                                        bench.worker.link->port(), anybody);
    EXPECT_TRUE(socket.ok()) << socket.error().message;
    if (!socket) co_return;
    EXPECT_EQ((*socket)->connection().peer_key(), bench.worker.identity.public_key());
    const auto too_long = co_await (*socket)->send(std::string(kPairingMessageBytes + 1, 'x'));
    EXPECT_FALSE(too_long.ok());
    const auto sent = co_await (*socket)->send("hello");
    EXPECT_TRUE(sent.ok());
    const auto answer = co_await (*socket)->receive();
    EXPECT_TRUE(answer.ok());
    if (answer) {
      EXPECT_EQ(*answer, "pairing heard hello");
    }
    EXPECT_EQ(bench.worker.guests, std::vector<PublicKey>{bench.stranger.public_key()});
    EXPECT_TRUE(bench.worker.log.empty() && bench.worker.asked.empty());
  });
}

TEST(DialPairing, OnlyTheKeyThatIsMeantIsTaken) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.pairing_open = true;
    bench.open();
    KeyCheck nobody = [](const PublicKey&) { return false; };
    const auto socket = co_await dial_pairing(bench.worker.executor, bench.stranger, "127.0.0.1",
                                              bench.worker.link->port(), nobody);
    EXPECT_FALSE(socket.ok());
    if (!socket) {
      EXPECT_EQ(socket.error().code, Code::invalid);
    }
    EXPECT_TRUE(bench.worker.guests.empty());
  });
}

asio::awaitable<void> expect_no_invitation(LinkBench& bench) {
  const auto socket = co_await dial_pairing(bench.worker.executor, bench.stranger, "127.0.0.1",
                                            bench.worker.link->port(), anybody);
  EXPECT_FALSE(socket.ok());
  if (socket) co_return;
  EXPECT_EQ(socket.error().code, Code::unavailable);
  EXPECT_EQ(socket.error().hint, "run `caravan invite` there");
  EXPECT_TRUE(bench.worker.guests.empty());
}

TEST(DialPairing, WithoutAnInvitationTheCureIsNamed) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    co_await expect_no_invitation(bench);
  });
}

TEST(DialPairing, WhereNobodyPairsAStrangerDoesNotGetThroughTheHandshake) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.pairing_open = true;
    bench.worker.pairs = false;
    bench.open();
    co_await expect_no_invitation(bench);
  });
}

TEST(DialPairing, AStrangerHasOnlySoMuchTimeAndSpace) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.pairing_open = true;
    bench.worker.options.limits.stranger_time = std::chrono::milliseconds(200);
    bench.open();
    auto idle = co_await dial_pairing(bench.worker.executor, bench.stranger, "127.0.0.1",
                                      bench.worker.link->port(), anybody);
    EXPECT_TRUE(idle.ok());
    if (!idle) co_return;
    const auto nothing = co_await (*idle)->receive();
    EXPECT_FALSE(nothing.ok());
    const auto connection = co_await bench.dial_as(bench.stranger, bench.worker);
    auto talker = co_await MessageSocket::dial(connection, "/caravan/pair", 4 * kPairingMessageBytes);
    EXPECT_TRUE(talker.ok());
    if (!talker) co_return;
    (void)co_await (*talker)->send(std::string(kPairingMessageBytes + 1, 'x'));
    const auto cut = co_await (*talker)->receive();
    EXPECT_FALSE(cut.ok());
  });
}

}  // namespace
}  // namespace caravan::link
