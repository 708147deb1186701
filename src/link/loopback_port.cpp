#include "link/loopback_port.h"

#include <chrono>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

namespace caravan::link {

using asio::ip::tcp;

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kAcceptPause{100};

}  // namespace

struct LoopbackPort::Inner {
  Inner(asio::any_io_executor executor, Handler chosen)
      : acceptor(executor), pause(executor), handler(std::move(chosen)) {}

  static asio::awaitable<void> accept_connections(std::shared_ptr<Inner> self);

  tcp::acceptor acceptor;
  asio::steady_timer pause;
  Handler handler;
};

asio::awaitable<void> LoopbackPort::Inner::accept_connections(std::shared_ptr<Inner> self) {
  while (self->acceptor.is_open()) {
    auto [failure, socket] = co_await self->acceptor.async_accept(kUseResult);
    if (!self->acceptor.is_open()) co_return;
    if (failure) {  // out of descriptors, or the peer gave up: wait a little instead of spinning
      self->pause.expires_after(kAcceptPause);
      co_await self->pause.async_wait(kUseResult);
      continue;
    }
    asio::co_spawn(self->acceptor.get_executor(), self->handler(std::move(socket)), asio::detached);
  }
}

Result<std::unique_ptr<LoopbackPort>> LoopbackPort::open(asio::any_io_executor executor, Handler handler) {
  auto inner = std::make_shared<Inner>(executor, std::move(handler));
  boost::system::error_code failure;
  (void)inner->acceptor.open(tcp::v4(), failure);
  if (!failure) (void)inner->acceptor.bind(tcp::endpoint(asio::ip::address_v4::loopback(), 0), failure);
  if (!failure) (void)inner->acceptor.listen(asio::socket_base::max_listen_connections, failure);
  if (failure) {
    return Error{Code::exhausted, fmt::format("cannot open a port on 127.0.0.1: {}", failure.message()), ""};
  }
  asio::co_spawn(executor, Inner::accept_connections(inner), asio::detached);
  return std::unique_ptr<LoopbackPort>(new LoopbackPort(std::move(inner)));
}

LoopbackPort::LoopbackPort(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

LoopbackPort::~LoopbackPort() {
  boost::system::error_code ignored;
  (void)inner_->acceptor.close(ignored);
  inner_->pause.cancel();
}

std::uint16_t LoopbackPort::number() const {
  boost::system::error_code ignored;
  return inner_->acceptor.local_endpoint(ignored).port();
}

}  // namespace caravan::link
