#include "link/tunnel.h"

#include <array>
#include <list>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

namespace caravan::link {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kBufferBytes = 256U
                                     << 10U;  // a layer's weights come in megabytes; activations in kilobytes
constexpr std::chrono::milliseconds kAcceptPause{100};

/// Both sockets of one connection.
struct Pair {
  tcp::socket near;
  tcp::socket far;

  void close() {
    boost::system::error_code ignored;
    near.close(ignored);
    far.close(ignored);
  }
};

}  // namespace

struct Tunnel::Inner : std::enable_shared_from_this<Tunnel::Inner> {
  Inner(asio::any_io_executor executor, tcp::endpoint worker)
      : acceptor(executor), pause(executor), target(std::move(worker)) {}

  asio::awaitable<void> accept_connections();
  asio::awaitable<void> serve(std::shared_ptr<Pair> pair);
  static asio::awaitable<void> pump(std::shared_ptr<Inner> self, std::shared_ptr<Pair> pair, bool outward);
  void close();

  tcp::acceptor acceptor;
  asio::steady_timer pause;
  tcp::endpoint target;
  std::list<std::weak_ptr<Pair>> pairs;
  TunnelCounters counted;
};

asio::awaitable<void> Tunnel::Inner::accept_connections() {
  while (acceptor.is_open()) {
    auto [failure, socket] = co_await acceptor.async_accept(kUseResult);
    if (!acceptor.is_open()) co_return;
    if (failure) {  // out of descriptors, or the peer gave up: wait a little instead of spinning
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kUseResult);
      continue;
    }
    auto pair = std::make_shared<Pair>(Pair{std::move(socket), tcp::socket(acceptor.get_executor())});
    pairs.remove_if([](const std::weak_ptr<Pair>& known) { return known.expired(); });
    pairs.push_back(pair);
    asio::co_spawn(acceptor.get_executor(), serve(std::move(pair)), asio::detached);
  }
}

asio::awaitable<void> Tunnel::Inner::serve(std::shared_ptr<Pair> pair) {
  const auto self = shared_from_this();
  auto [failure] = co_await pair->far.async_connect(target, kUseResult);
  boost::system::error_code ignored;
  if (failure || !acceptor.is_open()) {
    pair->close();
    co_return;
  }
  pair->near.set_option(tcp::no_delay(true), ignored);
  pair->far.set_option(tcp::no_delay(true), ignored);
  asio::co_spawn(acceptor.get_executor(), pump(self, pair, /*outward=*/true), asio::detached);
  co_await pump(self, pair, /*outward=*/false);
}

/// Moves bytes one way until that way ends. Reads no further before what was read is written: back-pressure.
/// When one way ends both sockets close: the engine's protocol knows no half-closed connection.
asio::awaitable<void> Tunnel::Inner::pump(std::shared_ptr<Inner> self, std::shared_ptr<Pair> pair,
                                          bool outward) {
  tcp::socket& from = outward ? pair->near : pair->far;
  tcp::socket& to = outward ? pair->far : pair->near;
  Bytes& count = outward ? self->counted.sent : self->counted.received;
  std::vector<char> buffer(kBufferBytes);
  for (;;) {
    auto [read_failure, got] = co_await from.async_read_some(asio::buffer(buffer), kUseResult);
    if (read_failure) break;
    count.count += got;
    auto [write_failure, written] =
        co_await asio::async_write(to, asio::buffer(buffer.data(), got), kUseResult);
    if (write_failure) break;
  }
  pair->close();
}

void Tunnel::Inner::close() {
  boost::system::error_code ignored;
  acceptor.close(ignored);
  pause.cancel();
  for (const std::weak_ptr<Pair>& known : pairs) {
    if (const auto pair = known.lock()) pair->close();
  }
}

Result<std::unique_ptr<Tunnel>> Tunnel::open(asio::any_io_executor executor, const std::string& host,
                                             int port) {
  boost::system::error_code failure;
  const asio::ip::address address = asio::ip::make_address(host, failure);
  if (failure || port < 1 || port > 65535) {
    return Error{Code::invalid, fmt::format("'{}:{}' is not an address of a worker", host, port), ""};
  }
  auto inner = std::make_shared<Inner>(executor, tcp::endpoint(address, static_cast<std::uint16_t>(port)));
  inner->acceptor.open(tcp::v4(), failure);
  if (!failure) inner->acceptor.bind(tcp::endpoint(asio::ip::address_v4::loopback(), 0), failure);
  if (!failure) inner->acceptor.listen(asio::socket_base::max_listen_connections, failure);
  if (failure) {
    return Error{Code::exhausted, fmt::format("cannot open a tunnel on 127.0.0.1: {}", failure.message()),
                 ""};
  }
  asio::co_spawn(
      executor, [inner]() { return inner->accept_connections(); }, asio::detached);
  return std::unique_ptr<Tunnel>(new Tunnel(std::move(inner)));
}

Tunnel::Tunnel(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

Tunnel::~Tunnel() { inner_->close(); }

std::uint16_t Tunnel::local_port() const {
  boost::system::error_code ignored;
  return inner_->acceptor.local_endpoint(ignored).port();
}

TunnelCounters Tunnel::counters() const { return inner_->counted; }

}  // namespace caravan::link
