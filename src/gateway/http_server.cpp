#include "gateway/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "engine/timed_stream.h"
#include "gateway/http_connection.h"

namespace caravan::gateway {
namespace {

using ErrorCode = boost::system::error_code;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;
using Endpoint = asio::generic::stream_protocol::endpoint;

constexpr std::size_t kTurnedAwayAtOnce = 16;  // beside those that are served: enough to say 503 in peace
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kStopPatience{5};

/// A client whose device vanished sends nothing, not even an end: the kernel asks after 30 s of silence.
void notice_vanished_client(int socket) {
  const auto set = [socket](int level, int option, int value) {
    (void)setsockopt(socket, level, option, &value, sizeof value);  // Unix sockets know none of these
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

/// Makes room for a socket file: removes one that nobody answers on.
Result<void> make_way(const fs::path& path, const Endpoint& endpoint) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Result<void>() : errno_error("cannot look at " + for_people(path), errno);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return Error{Code::invalid, fmt::format("{} is in the way: it is no socket", for_people(path)),
                 "move it away, or choose another folder"};
  }
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return errno_error("cannot open a socket", errno);
  const int failed =
      connect(probe, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0 ? 0 : errno;
  ::close(probe);
  if (failed == 0 || failed == EAGAIN) {
    return Error{Code::unavailable,
                 fmt::format("another node is running: it answers on {}", for_people(path)),
                 "stop it first, or give this one a folder of its own (CARAVAN_HOME)"};
  }
  if (failed != ECONNREFUSED && failed != ENOENT)
    return errno_error("cannot use " + for_people(path), failed);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return errno_error("cannot remove the old socket " + for_people(path), errno);
  }
  return {};
}

Error cannot_listen(const engine::HttpAddress& address, const ErrorCode& error) {
  const auto* tcp = std::get_if<engine::TcpAddress>(&address);
  if (tcp != nullptr && error == boost::system::errc::address_in_use) {
    return Error{Code::unavailable, fmt::format("port {} is taken", tcp->port),
                 "choose another with --port, or stop the program that uses it"};
  }
  if (tcp != nullptr && error == boost::system::errc::address_not_available) {
    return Error{Code::invalid, fmt::format("this device has no address {}", tcp->host),
                 "use 127.0.0.1, or one of the device's own addresses"};
  }
  if (tcp != nullptr && error == boost::system::errc::permission_denied) {
    return Error{Code::invalid, fmt::format("port {} is reserved for the system", tcp->port),
                 "choose one above 1023 with --port"};
  }
  return errno_error("cannot listen on " + engine::to_string(address), error.value());
}

std::uint16_t port_of(const Endpoint& endpoint) {
  sockaddr_in6 v6{};
  sockaddr_in v4{};
  if (endpoint.data()->sa_family == AF_INET6) {
    std::memcpy(&v6, endpoint.data(), sizeof v6);
    return ntohs(v6.sin6_port);
  }
  std::memcpy(&v4, endpoint.data(), sizeof v4);
  return ntohs(v4.sin_port);
}

}  // namespace

struct HttpServer::Core : std::enable_shared_from_this<Core> {
  Core(asio::any_io_executor executor, engine::HttpAddress where, Limits limits, Handler handler)
      : acceptor(executor), address(std::move(where)), changed(executor), pause(executor) {
    shared->limits = limits;
    shared->handler = std::move(handler);
  }

  Result<void> open() {
    const auto endpoint = engine::endpoint_of(address);
    if (!endpoint.ok()) return endpoint.error();
    const auto* unix_address = std::get_if<engine::UnixAddress>(&address);
    if (unix_address != nullptr) {
      auto free = make_way(unix_address->path, *endpoint);
      if (!free.ok()) return free;
    }
    ErrorCode error;
    (void)acceptor.open(endpoint->protocol(), error);
    if (!error && unix_address == nullptr) (void)acceptor.set_option(Acceptor::reuse_address(true), error);
    if (!error) (void)acceptor.bind(*endpoint, error);
    if (error) return cannot_listen(address, error);
    if (unix_address != nullptr) {
      // Nobody can connect before listen(), so that nobody can slip in before the mode is set.
      struct stat info {};
      if (chmod(unix_address->path.c_str(), 0600) != 0 || lstat(unix_address->path.c_str(), &info) != 0) {
        return errno_error("cannot protect " + for_people(unix_address->path), errno);
      }
      socket_file = {info.st_dev, info.st_ino};
    }
    (void)acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return cannot_listen(address, error);
    if (auto* tcp = std::get_if<engine::TcpAddress>(&address)) tcp->port = port_of(acceptor.local_endpoint());
    return {};
  }

  asio::awaitable<void> accept_all() {
    while (!stopping) {
      auto [error, socket] = co_await acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
      if (stopping) co_return;
      if (error) {
        // No descriptor left, most likely: those who are served will give some back.
        spdlog::warn("cannot accept a connection: {}", error.message());
        pause.expires_after(kAcceptPause);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
        continue;
      }
      welcome(std::move(socket));
    }
  }

  void welcome(engine::TimedStream::Socket socket) {
    const std::size_t limit = shared->limits.connections;
    if (connections.size() >= limit + kTurnedAwayAtOnce) return;  // closes it
    notice_vanished_client(socket.native_handle());
    const bool full = connections.size() >= limit;
    auto connection = std::make_shared<Connection>(std::move(socket), shared);
    connections.insert(connection);
    asio::co_spawn(acceptor.get_executor(), full ? connection->turn_away() : connection->run(),
                   asio::bind_cancellation_slot(connection->slot(), [core = shared_from_this(),
                                                                     connection](const std::exception_ptr&) {
                     core->connections.erase(connection);
                     core->changed.cancel();
                   }));
  }

  void shut_down() {
    if (std::exchange(stopping, true)) return;
    ErrorCode ignored;
    (void)acceptor.close(ignored);
    pause.cancel();
    const std::vector<std::shared_ptr<Connection>> open_now(connections.begin(), connections.end());
    for (const auto& connection : open_now) connection->cancel();
    remove_socket_file();
  }

  /// Only the one that is ours: another node may have taken the path over.
  void remove_socket_file() const {
    const auto* unix_address = std::get_if<engine::UnixAddress>(&address);
    if (unix_address == nullptr) return;
    struct stat info {};
    const bool ours = lstat(unix_address->path.c_str(), &info) == 0 &&
                      socket_file == std::pair<dev_t, ino_t>{info.st_dev, info.st_ino};
    if (ours) (void)unlink(unix_address->path.c_str());
  }

  Acceptor acceptor;
  engine::HttpAddress address;
  std::shared_ptr<ServerShared> shared = std::make_shared<ServerShared>();
  std::set<std::shared_ptr<Connection>> connections;
  asio::steady_timer changed;  ///< cancelled whenever a connection has ended
  asio::steady_timer pause;
  bool stopping = false;
  std::pair<dev_t, ino_t> socket_file{};
};

Result<std::unique_ptr<HttpServer>> HttpServer::listen(asio::any_io_executor executor,
                                                       const engine::HttpAddress& address, Limits limits,
                                                       Handler handler) {
  auto core = std::make_shared<Core>(executor, address, limits, std::move(handler));
  const auto opened = core->open();
  if (!opened.ok()) return opened.error();
  asio::co_spawn(
      executor,
      [](std::shared_ptr<Core> held) -> asio::awaitable<void> { co_await held->accept_all(); }(core),
      asio::detached);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

HttpServer::HttpServer(std::shared_ptr<Core> core) : core_(std::move(core)) {}
HttpServer::~HttpServer() { core_->shut_down(); }

const engine::HttpAddress& HttpServer::address() const { return core_->address; }
std::size_t HttpServer::connections() const { return core_->connections.size(); }

asio::awaitable<void> HttpServer::stop() {
  const std::shared_ptr<Core> core = core_;
  core->shut_down();
  const TimePoint deadline = Clock::now() + kStopPatience;
  while (!core->connections.empty() && Clock::now() < deadline) {
    core->changed.expires_at(deadline);
    co_await core->changed.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  if (!core->connections.empty()) spdlog::warn("{} requests did not stop in time", core->connections.size());
}

}  // namespace caravan::gateway
