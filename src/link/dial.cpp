#include "link/dial.h"

#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>

#include "link/upgrade.h"

namespace caravan::link {

asio::awaitable<Result<void>> dial(std::shared_ptr<TlsConnection> connection, std::string host, int port,
                                   std::chrono::milliseconds time) {
  connection->arm(Clock::now() + time);
  const auto reached = co_await connection->connect(host, port);
  if (!reached) co_return reached.error();
  const auto proved = co_await connection->handshake();
  if (proved) co_return Result<void>();
  Error error = proved.error();
  if (error.code == Code::invalid) {
    error.message = fmt::format(
        "what answers at {}:{} is not the device that was expected, or refuses this one", host, port);
  }
  co_return error;
}

asio::awaitable<Result<std::unique_ptr<MessageSocket>>> dial_pairing(asio::any_io_executor executor,
                                                                     const Identity& identity,
                                                                     std::string host, int port,
                                                                     KeyCheck check) {
  auto context = TlsContext::make(identity, TlsContext::Side::dial, std::move(check));
  if (!context) co_return context.error();
  const auto connection =
      std::make_shared<TlsConnection>(asio::ip::tcp::socket(executor), std::move(*context));
  const auto proved = co_await dial(connection, host, port, kDialTime);
  if (!proved) co_return proved.error();
  auto socket = co_await MessageSocket::dial(connection, std::string(kPairPath), kPairingMessageBytes);
  if (!socket) {
    co_return Error{
        Code::unavailable,
        fmt::format("the device at {}:{} takes no new device now ({})", host, port, socket.error().message),
        "run `caravan invite` there"};
  }
  connection->arm(Clock::now() + kPairingTime);
  co_return socket;
}

}  // namespace caravan::link
