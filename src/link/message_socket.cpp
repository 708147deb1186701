#include "link/message_socket.h"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <fmt/format.h>

#include "link/upgrade.h"

namespace caravan::link {

namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);

}  // namespace

/// Members are destroyed in reverse order: the WebSocket borrows the connection's stream.
struct MessageSocket::Inner {
  Inner(std::shared_ptr<TlsConnection> held, std::size_t limit)
      : connection(std::move(held)), stream(connection->stream()), most(limit) {
    stream.text(true);
    stream.auto_fragment(false);  // one frame, one TLS write
    stream.read_message_max(
        0);  // receive() has the limit: Beast would first say farewell, and wait for an answer
  }

  std::shared_ptr<TlsConnection> connection;
  websocket::stream<TlsStream&> stream;
  beast::flat_buffer buffer;
  std::size_t most;
};

MessageSocket::MessageSocket(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
MessageSocket::~MessageSocket() { close(); }

asio::awaitable<Result<std::unique_ptr<MessageSocket>>> MessageSocket::accept(
    std::shared_ptr<TlsConnection> connection, const UpgradeRequest& request, std::size_t most) {
  auto inner = std::make_shared<Inner>(std::move(connection), most);
  auto [failure] = co_await inner->stream.async_accept(request.http, kUseResult);
  if (failure) co_return inner->connection->explain(failure, "accepting a WebSocket");
  co_return std::unique_ptr<MessageSocket>(new MessageSocket(std::move(inner)));
}

asio::awaitable<Result<std::unique_ptr<MessageSocket>>> MessageSocket::dial(
    std::shared_ptr<TlsConnection> connection, std::string path, std::size_t most) {
  auto inner = std::make_shared<Inner>(std::move(connection), most);
  websocket::response_type response;
  auto [failure] = co_await inner->stream.async_handshake(response, "caravan", path, kUseResult);
  if (failure == websocket::error::upgrade_declined) {
    co_return Error{Code::unavailable, fmt::format("the other device answered {}", response.result_int()),
                    "it knows no such link: is Caravan there of the same version?"};
  }
  if (failure) co_return inner->connection->explain(failure, "opening a WebSocket");
  co_return std::unique_ptr<MessageSocket>(new MessageSocket(std::move(inner)));
}

asio::awaitable<Result<std::string>> MessageSocket::receive() {
  const std::shared_ptr<Inner> inner = inner_;
  inner->buffer.clear();
  bool whole = false;
  while (!whole) {
    const std::size_t room = inner->most + 1 - inner->buffer.size();
    const std::size_t most = std::min(room, inner->stream.read_size_hint(inner->buffer));
    auto [failure, got] = co_await inner->stream.async_read_some(inner->buffer, most, kUseResult);
    if (failure) co_return inner->connection->explain(failure, "waiting for a message");
    if (inner->buffer.size() > inner->most) {
      inner->connection->close();
      co_return Error{Code::exhausted, fmt::format("a message of more than {} bytes", inner->most), ""};
    }
    whole = inner->stream.is_message_done();
  }
  co_return beast::buffers_to_string(inner->buffer.data());
}

asio::awaitable<Result<void>> MessageSocket::send(std::string text) {
  const std::shared_ptr<Inner> inner = inner_;
  if (text.size() > inner->most) {
    co_return Error{Code::exhausted,
                    fmt::format("a message of {} bytes, at most {} can be sent", text.size(), inner->most),
                    ""};
  }
  auto [failure, sent] = co_await inner->stream.async_write(asio::buffer(text), kUseResult);
  if (failure) co_return inner->connection->explain(failure, "sending a message");
  co_return Result<void>();
}

void MessageSocket::allow(std::size_t most) { inner_->most = most; }

TlsConnection& MessageSocket::connection() { return *inner_->connection; }
void MessageSocket::close() { inner_->connection->close(); }

}  // namespace caravan::link
