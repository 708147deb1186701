#include "fabric/module/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/files.h"

namespace caravan::fabric {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Error timed_out(std::string_view what) {
  return {Code::disconnected, fmt::format("{}: no answer in time", what), ""};
}

/// Waits until `fd` is ready for `events`; false at the deadline.
Result<bool> wait_until_ready(int fd, short events, const Clock::time_point* deadline) {
  pollfd one{fd, events, 0};
  while (true) {
    const int ready = poll(&one, 1, deadline == nullptr ? -1 : poll_time(*deadline));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return errno_error("poll", errno);
  }
}

Result<Socket> connect_one(const addrinfo& to, Socket socket, Clock::time_point deadline) {
  const int on = 1;
  const int fd = socket.fd();
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
    return errno_error("a connection cannot be set up", errno);
  if (::connect(fd, to.ai_addr, to.ai_addrlen) == 0) return socket;
  if (errno != EINPROGRESS) return errno_error("connecting", errno);
  const auto ready = wait_until_ready(fd, POLLOUT, &deadline);
  if (!ready) return ready.error();
  if (!ready.value()) return timed_out("connecting");
  int failed = 0;
  socklen_t size = sizeof(failed);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0) failed = errno;
  if (failed != 0) return errno_error("connecting", failed);
  return socket;
}

}  // namespace

int poll_time(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

Result<Socket> Socket::connect(const Address& address, Clock::time_point deadline) {
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const auto port = std::to_string(address.port);
  if (const int failed = getaddrinfo(address.host.c_str(), port.c_str(), &wanted, &list); failed != 0)
    return Error{Code::not_found, fmt::format("no address for '{}': {}", address.host, gai_strerror(failed)),
                 ""};
  const AddressList addresses(list, &freeaddrinfo);
  Error last{Code::not_found, fmt::format("no address for '{}'", address.host), ""};
  for (const auto* one = list; one != nullptr; one = one->ai_next) {
    Socket socket(::socket(one->ai_family, one->ai_socktype, one->ai_protocol));
    if (socket.fd() < 0 || fcntl(socket.fd(), F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(socket.fd(), F_SETFL, O_NONBLOCK) != 0) {
      last = errno_error("a connection cannot be set up", errno);
      continue;
    }
    auto connected = connect_one(*one, std::move(socket), deadline);
    if (connected) return connected;
    last = connected.error();
  }
  return last;
}

Socket::Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

Result<std::size_t> Socket::read_some(std::span<char> into, const Clock::time_point* deadline) {
  while (true) {
    const auto got = recv(fd_, into.data(), into.size(), 0);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) return Error{Code::disconnected, "it closed the connection", ""};
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return errno_error("reading", errno);
    const auto ready = wait_until_ready(fd_, POLLIN, deadline);
    if (!ready) return ready.error();
    if (!ready.value()) return timed_out("reading");
  }
}

Result<void> Socket::read_all(std::span<char> into, const Clock::time_point* deadline) {
  while (!into.empty()) {
    const auto got = read_some(into, deadline);
    if (!got) return got.error();
    into = into.subspan(got.value());
  }
  return {};
}

Result<std::size_t> Socket::write_some(std::string_view bytes) {
  while (true) {
    const auto sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::size_t{0};
    if (errno != EINTR) return errno_error("writing", errno);
  }
}

Result<void> Socket::write_all(std::string_view bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    const auto sent = write_some(bytes);
    if (!sent) return sent.error();
    bytes.remove_prefix(sent.value());
    if (sent.value() > 0) continue;
    const auto ready = wait_until_ready(fd_, POLLOUT, &deadline);
    if (!ready) return ready.error();
    if (!ready.value()) return timed_out("writing");
  }
  return {};
}

void Socket::shut_down() { shutdown(fd_, SHUT_RDWR); }

}  // namespace caravan::fabric
