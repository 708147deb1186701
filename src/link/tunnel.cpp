#include "link/tunnel.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <list>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "link/loopback_port.h"

namespace caravan::link {

using asio::ip::tcp;

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);

/// A plain worker has no heartbeat: without this, the engine would wait a quarter of an hour for a machine
/// that was switched off. Linux and Android; elsewhere the system's own times count.
void notice_silence(tcp::socket& socket) {
  boost::system::error_code ignored;
  (void)socket.set_option(asio::socket_base::keep_alive(true), ignored);
#ifdef TCP_USER_TIMEOUT
  constexpr std::array<std::pair<int, int>, 4> kOptions{{{TCP_KEEPIDLE, 4},  // seconds
                                                         {TCP_KEEPINTVL, 2},
                                                         {TCP_KEEPCNT, 3},
                                                         {TCP_USER_TIMEOUT, 10'000}}};  // milliseconds
  for (const auto& [option, value] : kOptions)
    (void)::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
#endif
}

/// Tells when the other side has ended the connection, and not this one.
class WatchedEnd final : public TunnelEnd {
 public:
  WatchedEnd(std::shared_ptr<TunnelEnd> end, std::function<void()> lost)
      : end_(std::move(end)), lost_(std::move(lost)) {}

  asio::awaitable<std::size_t> read(std::span<char> into) override {
    const std::size_t got = co_await end_->read(into);
    if (got == 0 && !std::exchange(closed_, true)) lost_();
    co_return got;
  }
  asio::awaitable<bool> write(std::span<const char> bytes) override { return end_->write(bytes); }
  void close() override {
    closed_ = true;
    end_->close();
  }

 private:
  std::shared_ptr<TunnelEnd> end_;
  std::function<void()> lost_;
  bool closed_ = false;
};

asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> connect_plain(asio::any_io_executor executor,
                                                                  tcp::endpoint target) {
  tcp::socket socket(executor);
  auto [failure] = co_await socket.async_connect(target, kUseResult);
  if (failure) {
    co_return Error{Code::unavailable,
                    fmt::format("no worker answers at {}:{}: {}", target.address().to_string(), target.port(),
                                failure.message()),
                    ""};
  }
  notice_silence(socket);
  co_return std::shared_ptr<TunnelEnd>(std::make_shared<PlainEnd>(std::move(socket)));
}

}  // namespace

struct Tunnel::Inner {
  static asio::awaitable<void> serve(std::shared_ptr<Inner> self, tcp::socket socket);
  void hold(const std::shared_ptr<TunnelEnd>& end);
  void close();

  Opener opener;
  std::function<void()> lost;
  std::unique_ptr<LoopbackPort> port;
  std::list<std::weak_ptr<TunnelEnd>> ends;
  std::shared_ptr<TunnelCounters> counters = std::make_shared<TunnelCounters>();
  bool closed = false;
};

asio::awaitable<void> Tunnel::Inner::serve(std::shared_ptr<Inner> self, tcp::socket socket) {
  auto near = std::make_shared<PlainEnd>(std::move(socket));
  self->hold(near);
  auto far = co_await self->opener();
  if (!far) spdlog::warn("a tunnel could not be opened: {}", far.error().message);
  if (!far || self->closed) {
    near->close();
    if (far) (*far)->close();
    co_return;
  }
  std::shared_ptr<TunnelEnd> end = *far;
  if (self->lost) end = std::make_shared<WatchedEnd>(std::move(end), self->lost);
  self->hold(end);
  co_await splice(near, end, self->counters);
}

void Tunnel::Inner::hold(const std::shared_ptr<TunnelEnd>& end) {
  ends.remove_if([](const std::weak_ptr<TunnelEnd>& known) { return known.expired(); });
  ends.push_back(end);
}

void Tunnel::Inner::close() {
  closed = true;
  port.reset();
  for (const std::weak_ptr<TunnelEnd>& known : ends) {
    if (const auto end = known.lock()) end->close();
  }
}

Result<std::unique_ptr<Tunnel>> Tunnel::open(asio::any_io_executor executor, Opener opener) {
  auto inner = std::make_shared<Inner>();
  inner->opener = std::move(opener);
  auto port = LoopbackPort::open(executor, [weak = std::weak_ptr(inner)](tcp::socket socket) {
    return Inner::serve(weak.lock(), std::move(socket));
  });
  if (!port) return port.error();
  inner->port = std::move(*port);
  return std::unique_ptr<Tunnel>(new Tunnel(std::move(inner)));
}

Result<std::unique_ptr<Tunnel>> Tunnel::open(asio::any_io_executor executor, const std::string& host,
                                             int port) {
  boost::system::error_code failure;
  const asio::ip::address address = asio::ip::make_address(host, failure);
  if (failure || port < 1 || port > 65535) {
    return Error{Code::invalid, fmt::format("'{}:{}' is not an address of a worker", host, port), ""};
  }
  const tcp::endpoint target(address, static_cast<std::uint16_t>(port));
  return open(executor, [executor, target]() { return connect_plain(executor, target); });
}

Tunnel::Tunnel(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

Tunnel::~Tunnel() { inner_->close(); }

void Tunnel::watch(std::function<void()> lost) { inner_->lost = std::move(lost); }

std::uint16_t Tunnel::local_port() const { return inner_->port->number(); }

TunnelCounters Tunnel::counters() const { return *inner_->counters; }

}  // namespace caravan::link
