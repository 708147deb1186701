// For tests: an HTTP server on loopback that answers with whatever bytes a test wants, also wrong or
// incomplete ones.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "model/catalogue.h"

namespace caravan::model {

struct TestRequest {
  std::string line;
  std::map<std::string, std::string> headers;  ///< names in lower case

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct TestReply {
  std::string bytes;       ///< head and body as they are; the connection is closed behind them
  bool hold_open = false;  ///< except when this is set: then it stays until the client or the test leaves
};

class HttpTestServer {
 public:
  using Handler = std::function<TestReply(const TestRequest&)>;

  explicit HttpTestServer(Handler handler) : handler_(std::move(handler)) {
    ::setenv("no_proxy", "127.0.0.1", 1);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, generic, length) != 0 || ::listen(listener_, 8) != 0 ||
        ::getsockname(listener_, generic, &length) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  HttpTestServer(const HttpTestServer&) = delete;
  HttpTestServer& operator=(const HttpTestServer&) = delete;
  ~HttpTestServer() {
    stopping_ = true;
    thread_.join();
    ::close(listener_);
  }

  std::string url(std::string_view path = "/x.gguf") const {
    return fmt::format("http://127.0.0.1:{}{}", port_, path);
  }
  int port() const { return port_; }
  std::vector<TestRequest> requests() {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }

 private:
  /// False when the test ends, or the other side has gone.
  bool wait_readable(int fd) const {
    pollfd waits{fd, POLLIN, 0};
    while (!stopping_) {
      if (::poll(&waits, 1, 20) > 0) return true;
    }
    return false;
  }

  void serve() {
    while (wait_readable(listener_)) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) continue;
      answer(fd);
      ::close(fd);
    }
  }

  void answer(int fd) {
    std::string text;
    while (text.find("\r\n\r\n") == std::string::npos) {
      char chunk[4096];
      const ssize_t got = wait_readable(fd) ? ::recv(fd, chunk, sizeof chunk, 0) : 0;
      if (got <= 0) return;
      text.append(chunk, static_cast<std::size_t>(got));
    }
    const TestRequest request = parse(text);
    {
      const std::scoped_lock lock(mutex_);
      requests_.push_back(request);
    }
    const TestReply reply = handler_(request);
    std::string_view rest = reply.bytes;
    while (!rest.empty()) {
      const ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    if (reply.hold_open) (void)wait_readable(fd);
  }

  static TestRequest parse(const std::string& text) {
    TestRequest request;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = text.find("\r\n", begin)) != std::string::npos; begin = end + 2) {
      const std::string line = text.substr(begin, end - begin);
      const std::size_t colon = line.find(": ");
      if (begin == 0) {
        request.line = line;
      } else if (colon != std::string::npos) {
        request.headers[lower_case(line.substr(0, colon))] = line.substr(colon + 2);
      }
    }
    return request;
  }

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::vector<TestRequest> requests_;  // guarded by mutex_
  std::thread thread_;
};

/// Serves `content` as a good server does: ranges, If-Range, ETag. `cut_after` bytes of body the connection
/// breaks.
inline TestReply serve_well(const TestRequest& request, const std::string& content, const std::string& etag,
                            std::size_t cut_after = std::string::npos) {
  const std::string range = request.header("range");
  const std::string if_range = request.header("if-range");
  const bool partial = range.rfind("bytes=", 0) == 0 && (if_range.empty() || if_range == etag);
  const std::size_t first = partial ? std::stoul(range.substr(6)) : 0;
  const std::string validator = etag.empty() ? "" : fmt::format("ETag: {}\r\n", etag);
  if (first >= content.size() && partial) {
    return {fmt::format(
        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{}\r\nContent-Length: 0\r\n\r\n",
        content.size())};
  }
  std::string head = partial
                         ? fmt::format("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {}-{}/{}\r\n",
                                       first, content.size() - 1, content.size())
                         : "HTTP/1.1 200 OK\r\n";
  head += fmt::format("{}Content-Length: {}\r\n\r\n", validator, content.size() - first);
  return {head + content.substr(first, cut_after)};
}

}  // namespace caravan::model
