#include "link/tunnel.h"

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
  co_return std::shared_ptr<TunnelEnd>(std::make_shared<PlainEnd>(std::move(socket)));
}

}  // namespace

struct Tunnel::Inner {
  static asio::awaitable<void> serve(std::shared_ptr<Inner> self, tcp::socket socket);
  void hold(const std::shared_ptr<TunnelEnd>& end);
  void close();

  Opener opener;
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
  self->hold(*far);
  co_await splice(near, *far, self->counters);
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

std::uint16_t Tunnel::local_port() const { return inner_->port->number(); }

TunnelCounters Tunnel::counters() const { return *inner_->counters; }

}  // namespace caravan::link
