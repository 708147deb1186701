// Messages over one connection of the link: a WebSocket inside TLS. Sessions and pairing stand on it.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "link/messages.h"
#include "link/tls.h"

namespace caravan::link {

struct UpgradeRequest;

/// One coroutine may send while another receives. Deadlines are set on connection(). Errors as
/// TlsConnection::explain, and Code::exhausted for a message that is longer than `most` bytes.
class MessageSocket {
 public:
  /// Answers a request that was read with read_upgrade.
  static asio::awaitable<Result<std::unique_ptr<MessageSocket>>> accept(
      std::shared_ptr<TlsConnection> connection, const UpgradeRequest& request, std::size_t most);
  /// Asks for `path` on a connection whose handshake is done.
  static asio::awaitable<Result<std::unique_ptr<MessageSocket>>> dial(
      std::shared_ptr<TlsConnection> connection, std::string path, std::size_t most);
  ~MessageSocket();
  MessageSocket(const MessageSocket&) = delete;
  MessageSocket& operator=(const MessageSocket&) = delete;

  /// The next message as text; decode_message reads it.
  asio::awaitable<Result<std::string>> receive();
  asio::awaitable<Result<void>> send(std::string text);

  /// From now on, for what is sent and for what is received, also for a message that has arrived in part:
  /// once the other side has proved more than its key.
  void allow(std::size_t most);

  TlsConnection& connection();
  /// Ends every operation at once.
  void close();

 private:
  struct Inner;
  explicit MessageSocket(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::link
