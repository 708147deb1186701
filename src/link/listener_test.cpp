// Whoever is no member, or does not keep to the rules, gets nothing from the link's port.
#include "link/listener.h"

#include <boost/asio/read.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>

#include "link/link_test_bench.h"

namespace caravan::link {
namespace {

using asio::ip::tcp;
using testing::kUseResult;
using testing::LinkBench;

constexpr std::uint8_t kAlert = 0x15;  // TLS content type, RFC 8446, section 5.1

std::string upgrade(std::string_view path, std::string_view protocol = "caravan-tunnel") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {}\r\n\r\n", path,
                     protocol);
}

/// All that the other side sends until it closes.
template <typename Stream>
asio::awaitable<std::string> read_all(Stream& stream) {
  std::string all;
  std::array<char, 4096> chunk{};
  bool open = true;
  while (open) {
    auto [failure, got] = co_await stream.async_read_some(asio::buffer(chunk), kUseResult);
    all.append(chunk.data(), got);
    open = !failure;
  }
  co_return all;
}

asio::awaitable<std::string> answer_to(LinkBench& bench, std::string said) {
  tcp::socket socket = co_await bench.dial_loopback(bench.worker.link->port());
  (void)co_await asio::async_write(socket, asio::buffer(said), kUseResult);
  co_return co_await read_all(socket);
}

/// What a device with this key is answered to a request inside TLS.
asio::awaitable<std::string> answer_inside(LinkBench& bench, const Identity& who, std::string said) {
  const auto connection = co_await bench.dial_as(who, bench.worker);
  (void)co_await asio::async_write(connection->stream(), asio::buffer(said), kUseResult);
  co_return co_await read_all(connection->stream());
}

/// As whoever has these settings of TLS: whether anything came out of it.
asio::awaitable<std::string> answer_with(LinkBench& bench, asio::ssl::context& context) {
  asio::ssl::stream<tcp::socket> stream(co_await bench.dial_loopback(bench.worker.link->port()), context);
  auto [refused] = co_await stream.async_handshake(asio::ssl::stream_base::client, kUseResult);
  if (refused) co_return std::string();
  const std::string said = upgrade("/caravan/tunnel?target=rpc");
  (void)co_await asio::async_write(stream, asio::buffer(said), kUseResult);
  co_return co_await read_all(stream);
}

TEST(Listener, PlainHttpAndGarbageGetAnAlertAtMost) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const std::vector<std::string> all{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", std::string(10'000, '\xff'),
                                       std::string(10'000, '\0'),
                                       std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10),
                                       std::string("\x16\x03\x01\xff\xff", 5) + std::string(70'000, 'x')};
    for (const std::string& said : all) {
      const std::string answer = co_await answer_to(bench, said);
      EXPECT_LE(answer.size(), 7U) << "more than an alert";
      if (!answer.empty()) {
        EXPECT_EQ(static_cast<std::uint8_t>(answer[0]), kAlert);
      }
    }
    EXPECT_TRUE(bench.worker.asked.empty());
    EXPECT_TRUE(bench.worker.log.empty());
  });
}

TEST(Listener, AStrangersKeyGetsNothing) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    (void)co_await bench.connect();
    const std::vector<std::string> paths{"/caravan/link", "/caravan/pair", "/caravan/tunnel?target=rpc", "/"};
    for (const std::string& path : paths) {
      const std::string answer = co_await answer_inside(bench, bench.stranger, upgrade(path));
      EXPECT_EQ(answer, "") << path;
    }
    EXPECT_TRUE(bench.worker.asked.empty());
    EXPECT_TRUE(bench.worker.guests.empty());
  });
}

TEST(Listener, WithoutACertificateNothing) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    asio::ssl::context context(asio::ssl::context::tlsv13_client);
    const std::string answer = co_await answer_with(bench, context);
    EXPECT_EQ(answer, "");
    EXPECT_TRUE(bench.worker.asked.empty());
  });
}

TEST(Listener, AMembersKeyWithTls12Nothing) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    asio::ssl::context context(asio::ssl::context::tlsv12_client);
    EXPECT_EQ(SSL_CTX_use_certificate(context.native_handle(), bench.master.identity.certificate()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context.native_handle(), bench.master.identity.key()), 1);
    asio::ssl::stream<tcp::socket> stream(co_await bench.dial_loopback(bench.worker.link->port()), context);
    auto [refused] = co_await stream.async_handshake(asio::ssl::stream_base::client, kUseResult);
    EXPECT_TRUE(refused);
  });
}

TEST(Listener, AMembersCertificateWithAnotherKeyNothing) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    // OpenSSL itself would not sign with a key that does not fit: so the certificate of the member is taken
    // over by a stranger whose key signs, which a certificate made of the member's name amounts to.
    X509* forged = X509_dup(bench.master.identity.certificate());
    EXPECT_EQ(X509_set_pubkey(forged, bench.stranger.key()), 1);
    asio::ssl::context context(asio::ssl::context::tlsv13_client);
    EXPECT_EQ(SSL_CTX_use_certificate(context.native_handle(), forged), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context.native_handle(), bench.stranger.key()), 1);
    X509_free(forged);
    const std::string answer = co_await answer_with(bench, context);
    EXPECT_EQ(answer, "");
  });
}

TEST(Listener, TheSlowAreGivenUpInEveryPhase) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.options.limits.handshake_time = std::chrono::milliseconds(100);
    bench.worker.options.limits.request_time = std::chrono::milliseconds(100);
    bench.open();
    const std::vector<std::string> beginnings{"", std::string("\x16\x03\x01\x02\x00\x01", 6)};
    for (const std::string& said : beginnings) {
      const std::string answer = co_await answer_to(bench, said);
      EXPECT_EQ(answer, "");
    }
    const std::string half = co_await answer_inside(bench, bench.master.identity, "GET /caravan/link HT");
    EXPECT_EQ(half, "");
    EXPECT_TRUE(bench.worker.log.empty());
  });
}

TEST(Listener, OneAddressHasOnlySoManyHalfOpenConnections) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.options.limits.half_open_per_address = 3;
    bench.open();
    std::vector<tcp::socket> idle;
    for (int i = 0; i < 3; ++i) {
      idle.push_back(co_await bench.dial_loopback(bench.worker.link->port()));
    }
    tcp::socket one_too_many = co_await bench.dial_loopback(bench.worker.link->port());
    const bool turned_away = co_await LinkBench::ended(one_too_many);
    EXPECT_TRUE(turned_away);
    idle.clear();
    const auto session = co_await bench.connect();
    EXPECT_TRUE(session) << "the places are not given back";
  });
}

TEST(Listener, ManyHostileConnectionsLeaveNothingBehind) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    for (int i = 0; i < 300; ++i) {
      tcp::socket socket = co_await bench.dial_loopback(bench.worker.link->port());
      const std::string said(static_cast<std::size_t>(i), static_cast<char>(i));
      (void)co_await asio::async_write(socket, asio::buffer(said), kUseResult);
    }
    const auto session = co_await bench.connect();
    EXPECT_TRUE(session);
  });
}

TEST(Listener, OnlyTheKnownPathsExistForAMember) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const Identity& member = bench.master.identity;
    const std::string nothing = co_await answer_inside(bench, member, upgrade("/caravan/secret"));
    EXPECT_EQ(nothing.substr(0, 12), "HTTP/1.1 404");
    const std::string plain =
        co_await answer_inside(bench, member, "GET /caravan/link HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(plain.substr(0, 12), "HTTP/1.1 400");
    const std::string eager = co_await answer_inside(bench, member, upgrade("/caravan/link") + "early");
    EXPECT_EQ(eager.substr(0, 12), "HTTP/1.1 400");
    const std::string wrong = co_await answer_inside(bench, member, "\r\n\x01\x02 nonsense\r\n\r\n");
    EXPECT_EQ(wrong.substr(0, 12), "HTTP/1.1 400");
    const std::string longest = co_await answer_inside(bench, member, upgrade("/" + std::string(9000, 'x')));
    EXPECT_EQ(longest.substr(0, 12), "HTTP/1.1 431");
    const std::string post = co_await answer_inside(
        bench, member,
        "POST /caravan/link HTTP/1.1\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\n12345");
    EXPECT_EQ(post.substr(0, 12), "HTTP/1.1 400");
  });
}

TEST(Listener, WhileTheWindowIsOpenAStrangerGetsToPairingAndNoFurther) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.pairing_open = true;
    bench.open();
    const std::vector<std::string> paths{"/caravan/link", "/caravan/tunnel?target=rpc", "/"};
    for (const std::string& path : paths) {
      const std::string answer = co_await answer_inside(bench, bench.stranger, upgrade(path));
      EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 404") << path;
    }
    EXPECT_TRUE(bench.worker.asked.empty());
    const auto connection = co_await bench.dial_as(bench.stranger, bench.worker);
    auto socket = co_await MessageSocket::dial(connection, "/caravan/pair", kMaxMessageBytes);
    EXPECT_TRUE(socket.ok());
    if (!socket) co_return;
    const auto sent = co_await (*socket)->send("hello");
    EXPECT_TRUE(sent.ok());
    const auto answer = co_await (*socket)->receive();
    EXPECT_TRUE(answer.ok());
    if (answer) {
      EXPECT_EQ(*answer, "pairing heard hello");
    }
    bench.worker.pairing_open = false;
    const std::string late = co_await answer_inside(bench, bench.stranger, upgrade("/caravan/pair"));
    EXPECT_EQ(late, "");
    EXPECT_EQ(bench.worker.guests, std::vector<PublicKey>{bench.stranger.public_key()});
  });
}

TEST(Listener, AWindowThatClosesDuringTheHandshakeIsClosed) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.pairing_open = true;
    bench.open();
    const auto connection = co_await bench.dial_as(bench.stranger, bench.worker);
    bench.worker.pairing_open = false;
    const std::string said = upgrade("/caravan/pair");
    (void)co_await asio::async_write(connection->stream(), asio::buffer(said), kUseResult);
    const std::string answer = co_await read_all(connection->stream());
    EXPECT_TRUE(answer.empty() || answer.substr(0, 12) == "HTTP/1.1 404") << answer;
    EXPECT_TRUE(bench.worker.guests.empty());
  });
}

TEST(Listener, OnlySoManyStrangersAtOnce) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.worker.pairing_open = true;
    bench.worker.options.limits.strangers = 1;
    bench.open();
    const auto first = co_await bench.dial_as(bench.stranger, bench.worker);
    const auto socket = co_await MessageSocket::dial(first, "/caravan/pair", kMaxMessageBytes);
    EXPECT_TRUE(socket.ok());
    const std::string second = co_await answer_inside(bench, bench.stranger, upgrade("/caravan/pair"));
    EXPECT_EQ(second.substr(0, 12), "HTTP/1.1 503");
  });
}

TEST(Tls, BothSidesHaveTheSameChannelBindingAndEachConnectionItsOwn) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    KeyCheck anybody = [](const PublicKey&) { return true; };
    std::vector<Hash> seen;
    for (int i = 0; i < 2; ++i) {
      tcp::acceptor acceptor(bench.loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
      tcp::socket left = co_await bench.dial_loopback(acceptor.local_endpoint().port());
      tcp::socket right = co_await acceptor.async_accept(asio::use_awaitable);
      auto dialling = TlsContext::make(bench.master.identity, TlsContext::Side::dial, anybody);
      auto accepting = TlsContext::make(bench.worker.identity, TlsContext::Side::accept, anybody);
      const auto here = std::make_shared<TlsConnection>(std::move(left), *dialling);
      const auto there = std::make_shared<TlsConnection>(std::move(right), *accepting);
      EXPECT_FALSE(here->channel_binding().ok()) << "before the handshake";
      bool greeted = false;
      asio::co_spawn(bench.loop, there->handshake(),
                     [&](const std::exception_ptr&, const Result<void>& done) { greeted = done.ok(); });
      const auto done = co_await here->handshake();
      EXPECT_TRUE(done.ok());
      co_await bench.until([&]() { return greeted; });
      EXPECT_EQ(here->peer_key(), bench.worker.identity.public_key());
      EXPECT_EQ(there->peer_key(), bench.master.identity.public_key());
      EXPECT_EQ(*here->channel_binding(), *there->channel_binding());
      EXPECT_STREQ(SSL_get_version(here->stream().native_handle()), "TLSv1.3");
      EXPECT_EQ(SSL_SESSION_is_resumable(SSL_get0_session(here->stream().native_handle())), 0);
      seen.push_back(*here->channel_binding());
    }
    EXPECT_NE(seen[0], seen[1]);
  });
}

}  // namespace
}  // namespace caravan::link
