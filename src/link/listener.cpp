#include "link/listener.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace caravan::link {

using asio::ip::tcp;

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kAcceptPause{100};

/// What one host can take at will counts as one: an IPv4 address, or the 64 bits of a network's IPv6 prefix.
std::string origin_of(const asio::ip::address& address) {
  if (address.is_v4()) return address.to_string();
  const auto v6 = address.to_v6();
  if (v6.is_v4_mapped()) return asio::ip::make_address_v4(asio::ip::v4_mapped, v6).to_string();
  auto bytes = v6.to_bytes();
  for (std::size_t i = 8; i < bytes.size(); ++i) bytes[i] = 0;
  return asio::ip::address_v6(bytes).to_string();
}

/// Whatever way its scope ends.
class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::size_t& count_;
};

Error cannot_listen(const boost::system::error_code& failure, int port) {
  if (failure == boost::system::errc::address_in_use) {
    return Error{Code::unavailable, fmt::format("port {} of the link is taken", port),
                 "stop the program that uses it, or choose another with --link-port"};
  }
  return Error{Code::invalid, fmt::format("cannot listen on port {}: {}", port, failure.message()), ""};
}

}  // namespace

struct Listener::Inner : std::enable_shared_from_this<Listener::Inner> {
  Inner(asio::any_io_executor executor, ListenerLimits given, Judge judges, Handler handles)
      : acceptor(executor),
        pause(executor),
        limits(given),
        judge(std::move(judges)),
        handler(std::move(handles)) {}

  Result<void> open(const std::string& address, int port);
  static asio::awaitable<void> accept_connections(std::shared_ptr<Inner> self);
  static asio::awaitable<void> serve(std::shared_ptr<Inner> self, std::shared_ptr<TlsConnection> connection,
                                     std::string origin);
  asio::awaitable<bool> admit(std::shared_ptr<TlsConnection> connection, Visitor& visitor);
  asio::awaitable<void> hand_over(Visitor visitor);
  void welcome(tcp::socket socket);
  void close();

  tcp::acceptor acceptor;
  asio::steady_timer pause;
  ListenerLimits limits;
  Judge judge;
  Handler handler;
  std::shared_ptr<TlsContext> context;
  std::map<std::string, std::size_t> origins;  ///< half-open connections of each
  std::set<std::shared_ptr<TlsConnection>> half_open;
  std::size_t strangers = 0;
  bool closing = false;
};

Result<void> Listener::Inner::open(const std::string& address, int port) {
  boost::system::error_code failure;
  const auto ip = asio::ip::make_address(address, failure);
  if (failure || port < 0 || port > 65535) {
    return Error{Code::invalid, fmt::format("'{}:{}' is no address to listen on", address, port), ""};
  }
  const tcp::endpoint endpoint(ip, static_cast<std::uint16_t>(port));
  (void)acceptor.open(endpoint.protocol(), failure);
  if (!failure) (void)acceptor.set_option(tcp::acceptor::reuse_address(true), failure);
  if (!failure && ip.is_v6()) (void)acceptor.set_option(asio::ip::v6_only(false), failure);
  if (!failure) (void)acceptor.bind(endpoint, failure);
  if (!failure) (void)acceptor.listen(asio::socket_base::max_listen_connections, failure);
  if (failure) return cannot_listen(failure, port);
  return {};
}

asio::awaitable<void> Listener::Inner::accept_connections(std::shared_ptr<Inner> self) {
  while (!self->closing) {
    auto [failure, socket] = co_await self->acceptor.async_accept(kUseResult);
    if (self->closing) co_return;
    if (failure) {  // out of descriptors, or the peer gave up: wait a little instead of spinning
      self->pause.expires_after(kAcceptPause);
      co_await self->pause.async_wait(kUseResult);
      continue;
    }
    self->welcome(std::move(socket));
  }
}

/// Over a limit, a connection is closed unanswered: an answer would cost more than the question.
void Listener::Inner::welcome(tcp::socket socket) {
  boost::system::error_code gone;
  const auto endpoint = socket.remote_endpoint(gone);
  if (gone || half_open.size() >= limits.half_open) return;
  std::string origin = origin_of(endpoint.address());
  std::size_t& count = origins[origin];
  if (count >= limits.half_open_per_address) return;
  ++count;
  auto connection = std::make_shared<TlsConnection>(std::move(socket), context);
  half_open.insert(connection);
  asio::co_spawn(acceptor.get_executor(), serve(shared_from_this(), std::move(connection), std::move(origin)),
                 asio::detached);
}

asio::awaitable<void> Listener::Inner::serve(std::shared_ptr<Inner> self,
                                             std::shared_ptr<TlsConnection> connection, std::string origin) {
  Visitor visitor;
  const bool admitted = co_await self->admit(connection, visitor);
  self->half_open.erase(connection);
  const auto count = self->origins.find(origin);
  if (--count->second == 0) self->origins.erase(count);
  connection.reset();
  if (admitted && !self->closing) co_await self->hand_over(std::move(visitor));
}

asio::awaitable<bool> Listener::Inner::admit(std::shared_ptr<TlsConnection> connection, Visitor& visitor) {
  connection->arm(Clock::now() + limits.handshake_time);
  const auto proved = co_await connection->handshake();
  if (!proved) {
    spdlog::debug("link: {}", proved.error().message);
    co_return false;
  }
  connection->arm(Clock::now() + limits.request_time);
  auto request = co_await read_upgrade(*connection, limits.header_bytes);
  if (!request) {
    const unsigned status = request.error().code == Code::exhausted ? 431 : 400;
    if (connection->open()) co_await refuse_upgrade(*connection, status, request.error());
    co_return false;
  }
  visitor.standing = closing ? Standing::refused : judge(connection->peer_key());
  const bool elsewhere = request->path != kPairPath && visitor.standing == Standing::stranger;
  if (elsewhere || visitor.standing == Standing::refused) {
    const Error nothing{Code::not_found, "there is nothing here", ""};
    co_await refuse_upgrade(*connection, 404, nothing);
    co_return false;
  }
  connection->disarm();
  visitor.request = std::move(*request);
  visitor.connection = std::move(connection);
  co_return true;
}

asio::awaitable<void> Listener::Inner::hand_over(Visitor visitor) {
  if (visitor.standing == Standing::member) {
    co_await handler(std::move(visitor));
    co_return;
  }
  if (strangers >= limits.strangers) {
    const Error full{Code::unavailable, "too many devices want to join at once", "try again"};
    co_await refuse_upgrade(*visitor.connection, 503, full);
    co_return;
  }
  const Counted counted(strangers);
  visitor.connection->arm(Clock::now() + limits.stranger_time);
  co_await handler(std::move(visitor));
}

void Listener::Inner::close() {
  closing = true;
  boost::system::error_code ignored;
  (void)acceptor.close(ignored);
  pause.cancel();
  for (const auto& connection : half_open) connection->close();
}

Result<std::unique_ptr<Listener>> Listener::open(asio::any_io_executor executor, const Identity& identity,
                                                 const std::string& address, int port, ListenerLimits limits,
                                                 Judge judge, Handler handler) {
  auto inner = std::make_shared<Inner>(executor, limits, std::move(judge), std::move(handler));
  const auto check = [weak = std::weak_ptr(inner)](const PublicKey& key) {
    const auto held = weak.lock();
    return held && !held->closing && held->judge(key) != Standing::refused;
  };
  auto context = TlsContext::make(identity, TlsContext::Side::accept, check);
  if (!context) return context.error();
  inner->context = std::move(*context);
  if (auto opened = inner->open(address, port); !opened) return opened.error();
  asio::co_spawn(executor, Inner::accept_connections(inner), asio::detached);
  return std::unique_ptr<Listener>(new Listener(std::move(inner)));
}

Listener::Listener(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
Listener::~Listener() { inner_->close(); }

std::uint16_t Listener::port() const {
  boost::system::error_code ignored;
  return inner_->acceptor.local_endpoint(ignored).port();
}

std::size_t Listener::half_open() const { return inner_->half_open.size(); }

}  // namespace caravan::link
