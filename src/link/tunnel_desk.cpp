#include "link/tunnel_desk.h"

#include <chrono>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "link/tls_end.h"

namespace caravan::link {

using asio::ip::tcp;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kDialBackTime{10};
constexpr std::chrono::seconds kLoopbackTime{5};
constexpr std::size_t kTokenBytes = 16;

Error no_session() {
  return Error{Code::unavailable, "a tunnel needs a session between the two devices", ""};
}

Error too_many() { return Error{Code::exhausted, "too many tunnels to one device", ""}; }

asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> connect_loopback(asio::any_io_executor executor,
                                                                     std::uint16_t port) {
  tcp::socket socket(executor);
  asio::steady_timer patience(executor, kLoopbackTime);
  const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  const auto done = co_await (socket.async_connect(endpoint, kUseResult) || patience.async_wait(kUseResult));
  const bool connected = done.index() == 0 && !std::get<0>(std::get<0>(done));
  if (!connected) {
    co_return Error{Code::unavailable, fmt::format("nothing answers on 127.0.0.1:{} there", port),
                    "is the engine's worker running?"};
  }
  co_return std::shared_ptr<TunnelEnd>(std::make_shared<PlainEnd>(std::move(socket)));
}

}  // namespace

TunnelDesk::TunnelDesk(asio::any_io_executor executor, TunnelSurroundings around, std::size_t most_per_device)
    : executor_(executor), around_(std::move(around)), most_per_device_(most_per_device) {}

asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> TunnelDesk::open(std::string device, std::string target) {
  const auto self = shared_from_this();
  const auto session = around_.session(device);
  if (!session) co_return no_session();
  if (session->dialled()) co_return co_await open_by_dialling(session, std::move(target));
  co_return co_await open_by_asking(session, std::move(target));
}

asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> TunnelDesk::open_by_dialling(
    std::shared_ptr<Session> session, std::string target) {
  const auto connection = co_await around_.dial(session->peer());
  if (!connection) co_return connection.error();
  if (!around_.session(session->peer())) co_return no_session();
  if (!hold(*connection)) co_return too_many();
  auto early = co_await ask_for_tunnel(**connection, "target=" + target);
  if (!early) co_return early.error();
  (*connection)->disarm();
  co_return end_of(*connection, std::move(*early));
}

asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> TunnelDesk::open_by_asking(
    std::shared_ptr<Session> session, std::string target) {
  const std::string token = hex(bytes_of(random_bytes(kTokenBytes)));
  const auto expected = std::make_shared<Expected>(executor_, session->peer());
  expected_[token] = expected;
  const DialBack asked{std::move(target), token};
  if (auto sent = session->send(asked); !sent) {
    expected_.erase(token);
    co_return sent.error();
  }
  expected->timer.expires_after(kDialBackTime);
  co_await expected->timer.async_wait(kUseResult);
  expected_.erase(token);
  if (!expected->connection) co_return expected->error;
  co_return end_of(std::move(expected->connection), "");
}

asio::awaitable<void> TunnelDesk::serve(Visitor visitor) {
  const auto self = shared_from_this();
  const auto connection = visitor.connection;
  connection->arm(Clock::now() + kDialBackTime);
  if (!visitor.request.tunnel()) {
    const Error wrong{Code::invalid, "a tunnel is asked for with 'Upgrade: caravan-tunnel'", ""};
    co_await refuse_upgrade(*connection, 400, wrong);
  } else if (!around_.session(connection->peer())) {
    co_await refuse_upgrade(*connection, http_status_of(Code::unavailable), no_session());
  } else if (!hold(connection)) {
    co_await refuse_upgrade(*connection, http_status_of(Code::exhausted), too_many());
  } else if (std::string token = visitor.request.parameter("token"); !token.empty()) {
    co_await serve_token(connection, std::move(token));
  } else {
    co_await serve_target(connection, visitor.request.parameter("target"));
  }
}

/// A token is worth one connection, of the device that it was sent to.
asio::awaitable<void> TunnelDesk::serve_token(std::shared_ptr<TlsConnection> connection, std::string token) {
  const auto found = expected_.find(token);
  if (found == expected_.end() || found->second->device != connection->peer()) {
    const Error unknown{Code::not_found, "nobody waits for that tunnel", ""};
    co_await refuse_upgrade(*connection, 404, unknown);
    co_return;
  }
  const auto expected = found->second;
  expected_.erase(found);
  const auto accepted = co_await accept_tunnel(*connection);
  connection->disarm();
  if (accepted) {
    expected->connection = std::move(connection);
  } else {
    expected->error = accepted.error();
  }
  expected->timer.cancel();
}

asio::awaitable<void> TunnelDesk::serve_target(std::shared_ptr<TlsConnection> connection,
                                               std::string target) {
  const auto near = co_await connect_target(connection->peer(), std::move(target));
  if (!near) {
    co_await refuse_upgrade(*connection, http_status_of(near.error().code), near.error());
    co_return;
  }
  const auto accepted = co_await accept_tunnel(*connection);
  if (!accepted) co_return;
  connection->disarm();
  co_await splice(*near, end_of(connection, ""), std::make_shared<TunnelCounters>());
}

asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> TunnelDesk::connect_target(std::string device,
                                                                               std::string target) {
  const auto port = around_.target(device, target);
  if (!port) co_return port.error();
  co_return co_await connect_loopback(executor_, *port);
}

void TunnelDesk::dial_back(const std::string& device, const DialBack& asked) {
  asio::co_spawn(executor_, answer_dial_back(shared_from_this(), device, asked), asio::detached);
}

asio::awaitable<void> TunnelDesk::answer_dial_back(std::shared_ptr<TunnelDesk> self, std::string device,
                                                   DialBack asked) {
  const std::string token = asked.token;
  const auto carried = co_await self->carry(device, std::move(asked));
  const auto session = self->around_.session(device);
  if (!carried && session) (void)session->send(Problem{token, carried.error()});
}

asio::awaitable<Result<void>> TunnelDesk::carry(std::string device, DialBack asked) {
  const auto connection = co_await around_.dial(device);
  if (!connection) co_return connection.error();
  if (!around_.session(device)) co_return no_session();
  if (!hold(*connection)) co_return too_many();
  const auto near = co_await connect_target(device, asked.target);
  if (!near) co_return near.error();
  auto early = co_await ask_for_tunnel(**connection, "token=" + asked.token);
  if (!early) co_return early.error();
  (*connection)->disarm();
  co_await splice(*near, end_of(*connection, std::move(*early)), std::make_shared<TunnelCounters>());
  co_return Result<void>();
}

void TunnelDesk::problem(const std::string& device, const Problem& problem) {
  const auto found = expected_.find(problem.about);
  if (found == expected_.end() || found->second->device != device) return;
  found->second->error = problem.error;
  found->second->timer.cancel();
  expected_.erase(found);
}

bool TunnelDesk::hold(const std::shared_ptr<TlsConnection>& connection) {
  auto& held = held_[connection->peer()];
  held.remove_if([](const std::weak_ptr<TlsConnection>& known) { return known.expired(); });
  if (held.size() >= most_per_device_) return false;
  held.push_back(connection);
  return true;
}

std::shared_ptr<TunnelEnd> TunnelDesk::end_of(std::shared_ptr<TlsConnection> connection, std::string early) {
  const std::weak_ptr<Session> session = around_.session(connection->peer());
  return std::make_shared<TlsEnd>(std::move(connection), std::move(early), [session]() {
    if (const auto alive = session.lock()) alive->heard();
  });
}

void TunnelDesk::cut(const std::string& device) {
  for (const auto& [token, expected] : expected_) {
    if (expected->device == device) expected->timer.cancel();
  }
  const auto found = held_.find(device);
  if (found == held_.end()) return;
  for (const auto& known : found->second) {
    if (const auto connection = known.lock()) connection->close();
  }
  held_.erase(found);
}

void TunnelDesk::cut_all() {
  while (!held_.empty()) {
    const std::string device = held_.begin()->first;
    cut(device);
  }
  for (const auto& [token, expected] : expected_) expected->timer.cancel();
}

}  // namespace caravan::link
