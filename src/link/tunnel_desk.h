// Opens and serves the link's tunnel connections, whichever side dials, and ends those of a device. Internal
// to Link.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "link/listener.h"
#include "link/session.h"
#include "link/splice.h"

namespace caravan::link {

/// What the desk asks of the link around it.
struct TunnelSurroundings {
  std::function<std::shared_ptr<Session>(const std::string& device)> session;  ///< null without one
  std::function<Result<std::uint16_t>(const std::string& device, const std::string& target)> target;
  /// A connection to where the session with this device was dialled, after the handshake.
  std::function<asio::awaitable<Result<std::shared_ptr<TlsConnection>>>(std::string device)> dial;
};

/// Rules: there are tunnel connections only while there is a session with the device, and whoever dialled the
/// session dials them; the other side asks for one with a dial_back message. One loop of one thread.
class TunnelDesk : public std::enable_shared_from_this<TunnelDesk> {
 public:
  TunnelDesk(asio::any_io_executor executor, TunnelSurroundings around, std::size_t most_per_device);

  /// A connection to what `device` calls `target`.
  asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> open(std::string device, std::string target);
  /// Somebody has dialled kTunnelPath.
  asio::awaitable<void> serve(Visitor visitor);
  /// The other side asks us to dial.
  void dial_back(const std::string& device, const DialBack& asked);
  /// The other side could not do what the token stands for.
  void problem(const std::string& device, const Problem& problem);
  /// Ends all connections of the device at once.
  void cut(const std::string& device);
  void cut_all();

 private:
  /// Waits for the other side to dial.
  struct Expected {
    Expected(const asio::any_io_executor& executor, std::string from)
        : device(std::move(from)), timer(executor) {}
    std::string device;
    asio::steady_timer timer;
    std::shared_ptr<TlsConnection> connection;
    Error error{Code::unavailable, "the other device did not open the tunnel in time", ""};
  };

  asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> open_by_dialling(std::shared_ptr<Session> session,
                                                                       std::string target);
  asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> open_by_asking(std::shared_ptr<Session> session,
                                                                     std::string target);
  asio::awaitable<void> serve_token(std::shared_ptr<TlsConnection> connection, std::string token);
  asio::awaitable<void> serve_target(std::shared_ptr<TlsConnection> connection, std::string target);
  static asio::awaitable<void> answer_dial_back(std::shared_ptr<TunnelDesk> self, std::string device,
                                                DialBack asked);
  asio::awaitable<Result<void>> carry(std::string device, DialBack asked);
  asio::awaitable<Result<std::shared_ptr<TunnelEnd>>> connect_target(std::string device, std::string target);
  /// False when the device has as many as it may have.
  bool hold(const std::shared_ptr<TlsConnection>& connection);
  std::shared_ptr<TunnelEnd> end_of(std::shared_ptr<TlsConnection> connection, std::string early);

  asio::any_io_executor executor_;
  TunnelSurroundings around_;
  std::size_t most_per_device_;
  std::map<std::string, std::list<std::weak_ptr<TlsConnection>>> held_;  ///< by device
  std::map<std::string, std::shared_ptr<Expected>> expected_;            ///< by token
};

}  // namespace caravan::link
