#include "link/splice.h"

#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace caravan::link {

using asio::ip::tcp;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
/// A layer's weights come in megabytes, activations in kilobytes.
constexpr std::size_t kBufferBytes = std::size_t{256} << 10U;

asio::awaitable<void> pump(TunnelEnd& from, TunnelEnd& to, Bytes& count) {
  std::vector<char> buffer(kBufferBytes);
  bool open = true;
  while (open) {
    const std::size_t got = co_await from.read(buffer);
    if (got == 0) break;
    count.count += got;
    const std::span<const char> bytes(buffer.data(), got);
    open = co_await to.write(bytes);
  }
  from.close();
  to.close();
}

}  // namespace

PlainEnd::PlainEnd(tcp::socket socket) : socket_(std::move(socket)) {
  boost::system::error_code ignored;
  (void)socket_.set_option(tcp::no_delay(true), ignored);
  (void)socket_.non_blocking(true, ignored);
}

/// The engine writes a message in three pieces: those that are there already travel as one.
asio::awaitable<std::size_t> PlainEnd::read(std::span<char> into) {
  auto [failure, first] =
      co_await socket_.async_read_some(asio::buffer(into.data(), into.size()), kUseResult);
  std::size_t got = failure ? 0 : first;
  bool more = got != 0;
  while (more && got < into.size()) {
    boost::system::error_code nothing_now;
    const std::size_t next =
        socket_.read_some(asio::buffer(into.data() + got, into.size() - got), nothing_now);
    more = !nothing_now;  // an end or error comes again with the next read
    if (more) got += next;
  }
  co_return got;
}

/// Nearly always there is room: then it is one call, without a turn of the loop.
asio::awaitable<bool> send_all(tcp::socket& socket, std::span<const char> bytes) {
  boost::system::error_code failure;
  const std::size_t sent = socket.write_some(asio::buffer(bytes.data(), bytes.size()), failure);
  if (!failure && sent == bytes.size()) co_return true;
  if (failure && failure != asio::error::would_block && failure != asio::error::try_again) co_return false;
  const std::span<const char> left = bytes.subspan(sent);
  auto [cut, rest] = co_await asio::async_write(socket, asio::buffer(left.data(), left.size()), kUseResult);
  co_return !cut;
}

asio::awaitable<bool> PlainEnd::write(std::span<const char> bytes) { return send_all(socket_, bytes); }

void PlainEnd::close() {
  boost::system::error_code ignored;
  (void)socket_.close(ignored);
}

asio::awaitable<void> splice(std::shared_ptr<TunnelEnd> near, std::shared_ptr<TunnelEnd> far,
                             std::shared_ptr<TunnelCounters> counters) {
  co_await (pump(*near, *far, counters->sent) && pump(*far, *near, counters->received));
}

}  // namespace caravan::link
