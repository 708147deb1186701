// For tests: a client that sends whatever bytes it likes, and a loop with servers on it that ends within 20
// s.
#pragma once

#include <charconv>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include "base/text.h"
#include "engine/timed_stream.h"
#include "gateway/http_server.h"

namespace caravan::gateway {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kTestPatience{60};  // never passes in a test that works

struct RawReply {
  unsigned status = 0;
  engine::HttpHeaders headers;
  std::string body;
  bool complete = false;  ///< it ended as it had announced

  std::string header(std::string_view name) const {
    const std::string* value = engine::find_header(headers, name);
    return value == nullptr ? "" : *value;
  }
};

class RawClient {
 public:
  explicit RawClient(engine::TimedStream stream) : stream_(std::move(stream)) {}

  static asio::awaitable<std::unique_ptr<RawClient>> connect(asio::any_io_executor executor,
                                                             engine::HttpAddress address) {
    auto stream =
        co_await engine::TimedStream::connect(executor, std::move(address), Clock::now() + kTestPatience);
    EXPECT_TRUE(stream.ok());
    co_return std::make_unique<RawClient>(*std::move(stream));
  }

  asio::awaitable<bool> send(std::string bytes) {
    const auto sent = co_await stream_.write(bytes, kTestPatience);
    co_return sent.ok();
  }

  /// False at the end of the connection, orderly or not.
  asio::awaitable<bool> receive() {
    std::string piece(std::size_t{64} << 10U, '\0');
    const auto count = co_await stream_.read_some(piece, Clock::now() + kTestPatience);
    if (!count.ok()) {
      EXPECT_EQ(count.error().code, Code::disconnected) << "the server is silent";
      broken_ = true;
      co_return false;
    }
    input_.append(piece, 0, *count);
    co_return *count > 0;
  }

  /// Up to and with `mark`, or all there is.
  asio::awaitable<std::string> read_until(std::string mark) {
    bool more = true;
    while (more && input_.find(mark) == std::string::npos) more = co_await receive();
    const std::size_t found = input_.find(mark);
    co_return take(found == std::string::npos ? input_.size() : found + mark.size());
  }

  asio::awaitable<std::string> read_all() {
    bool more = true;
    while (more) more = co_await receive();
    co_return take(input_.size());
  }

  asio::awaitable<RawReply> read_reply(bool to_head = false) {
    RawReply reply;
    const std::string head = co_await read_until("\r\n\r\n");
    parse_head(head, reply);
    if (to_head) {
      reply.complete = reply.status != 0;
    } else if (reply.header("Transfer-Encoding") == "chunked") {
      co_await read_chunks(reply);
    } else if (!reply.header("Content-Length").empty()) {
      const std::size_t length = std::stoul(reply.header("Content-Length"));
      bool more = true;
      while (more && input_.size() < length) more = co_await receive();
      reply.complete = input_.size() >= length;
      reply.body = take(std::min(length, input_.size()));
    } else {
      reply.body = co_await read_all();
      reply.complete = reply.status != 0 && !broken_;
    }
    co_return reply;
  }

  void shutdown_send() { stream_.shutdown_send(); }
  std::size_t buffered() const { return input_.size(); }
  std::string take(std::size_t count) {
    std::string taken = input_.substr(0, count);
    input_.erase(0, count);
    return taken;
  }

 private:
  static void parse_head(const std::string& head, RawReply& reply) {
    if (!head.starts_with("HTTP/1.1 ") || !head.ends_with("\r\n\r\n")) return;
    reply.status = static_cast<unsigned>(std::stoul(head.substr(9, 3)));
    for (const std::string& line : split(head, '\n')) {
      const std::size_t colon = line.find(": ");
      if (colon == std::string::npos) continue;
      reply.headers.emplace_back(line.substr(0, colon), std::string(trim(line.substr(colon + 2))));
    }
  }

  asio::awaitable<void> read_chunks(RawReply& reply) {
    while (true) {
      const std::string line = co_await read_until("\r\n");
      std::size_t size = 0;
      if (!line.ends_with("\r\n")) co_return;
      std::from_chars(line.data(), line.data() + line.size(), size, 16);
      bool more = true;
      while (more && input_.size() < size + 2) more = co_await receive();
      if (input_.size() < size + 2) co_return;
      reply.body += take(size);
      take(2);
      reply.complete = size == 0;
      if (size == 0) co_return;
    }
  }

  engine::TimedStream stream_;
  std::string input_;
  bool broken_ = false;
};

/// A loop, the servers on it, and one coroutine that plays the client.
class ServerBench {
 public:
  asio::io_context loop;

  engine::HttpAddress serve(Handler handler, Limits limits = {},
                            engine::HttpAddress address = engine::TcpAddress{"127.0.0.1", 0}) {
    auto server = HttpServer::listen(loop.get_executor(), address, limits, std::move(handler));
    EXPECT_TRUE(server.ok()) << (server.ok() ? "" : server.error().message);
    servers.push_back(*std::move(server));
    return servers.back()->address();
  }

  asio::awaitable<std::unique_ptr<RawClient>> connect() { return connect(servers.front()->address()); }
  asio::awaitable<std::unique_ptr<RawClient>> connect(engine::HttpAddress address) {
    return RawClient::connect(loop.get_executor(), std::move(address));
  }

  /// Plays `client` to its end, then stops the servers.
  void play(std::function<asio::awaitable<void>(ServerBench&)> client) {
    bool finished = false;
    asio::co_spawn(loop, client_then_stop(std::move(client)), [&finished](const std::exception_ptr& failure) {
      EXPECT_FALSE(failure);
      finished = true;
    });
    loop.run_for(kTestPatience);
    EXPECT_TRUE(finished) << "something hangs";
  }

  std::vector<std::unique_ptr<HttpServer>> servers;

 private:
  asio::awaitable<void> client_then_stop(std::function<asio::awaitable<void>(ServerBench&)> client) {
    co_await client(*this);
    for (const auto& server : servers) {
      co_await server->stop();
      EXPECT_EQ(server->connections(), 0U);
    }
  }
};

inline asio::awaitable<void> say_hello(Request /*request*/, Responder& responder) {
  co_await responder.send(200, "text/plain", "hello");
}

/// What arrived, in one line.
inline asio::awaitable<void> echo(Request request, Responder& responder) {
  const std::string text = request.method + "|" + request.target + "|" + request.query + "|" +
                           std::string(request.header("x-thing").value_or("-")) + "|" + request.body;
  co_await responder.send(200, "text/plain", text);
}

inline std::string post(const std::string& body, const std::string& more = "") {
  return "POST /x HTTP/1.1\r\nHost: a\r\n" + more + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends `bytes` on a connection of its own and reads one reply.
inline asio::awaitable<RawReply> ask(ServerBench& bench, std::string bytes) {
  const auto client = co_await bench.connect();
  co_await client->send(std::move(bytes));
  co_return co_await client->read_reply();
}

inline RawReply reply_to(Handler handler, const std::string& bytes, Limits limits = {}) {
  ServerBench bench;
  bench.serve(std::move(handler), limits);
  RawReply reply;
  bench.play([&](ServerBench& b) -> asio::awaitable<void> { reply = co_await ask(b, bytes); });
  return reply;
}

/// Long enough that something else has its turn.
inline asio::awaitable<void> pause_for_test() {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(5));
  co_await timer.async_wait(kUseResult);
}

/// A moment that a test can wait for.
class Moment {
 public:
  explicit Moment(asio::io_context& loop) : timer_(loop, asio::steady_timer::time_point::max()) {}
  void come() { timer_.expires_at(asio::steady_timer::time_point::min()); }
  asio::awaitable<void> wait() { co_await timer_.async_wait(kUseResult); }

 private:
  asio::steady_timer timer_;
};

}  // namespace caravan::gateway
