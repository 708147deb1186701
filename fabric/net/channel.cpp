#include "fabric/net/channel.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "base/files.h"

namespace caravan::fabric {
namespace {

constexpr int kBacklog = 16;

/// False at the deadline.
Result<bool> wait_until_ready(int fd, short events, const SteadyTime* deadline) {
  pollfd one{fd, events, 0};
  while (true) {
    const int ready = poll(&one, 1, poll_time(deadline));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return errno_error("poll", errno);
  }
}

Error late(std::string_view what) {
  return {Code::disconnected, fmt::format("{}: no answer in time", what),
          "check that the other end still runs"};
}

Error broken(std::string_view what) {
  return {Code::disconnected, fmt::format("{}: {}", what, std::strerror(errno)), ""};
}

Result<Descriptor> open_socket(const Address& address, Addresses allowed) {
  if (const auto may = check_allowed(address, allowed); !may) return may.error();
  Descriptor made(::socket(address.storage.ss_family, SOCK_STREAM, 0));
  if (made.get() < 0) return errno_error("a socket cannot be made", errno);
  if (fcntl(made.get(), F_SETFD, FD_CLOEXEC) != 0) return errno_error("a socket cannot be set up", errno);
  return made;
}

}  // namespace

int poll_time(const SteadyTime* deadline) {
  if (deadline == nullptr) return -1;
  const auto left = std::chrono::ceil<Milliseconds>(*deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

Result<Channel> Channel::adopt(Descriptor socket) {
  const int flags = fcntl(socket.get(), F_GETFL);
  if (flags < 0 || fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return errno_error("a connection cannot be set up", errno);
  const int on = 1;
  // A Unix socket, as tests use it, has no such option.
  (void)setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return Channel(std::move(socket));
}

Result<Channel> Channel::connect(const std::string& address, Addresses allowed, SteadyTime deadline) {
  const auto to = parse_address(address);
  if (!to) return to.error();
  auto made = open_socket(*to, allowed);
  if (!made) return made.error();
  auto channel = adopt(std::move(*made));
  if (!channel) return channel.error();
  const int fd = channel->socket_.get();
  const std::string failed = "connecting to " + address;
  if (::connect(fd, to->raw(), to->size) == 0) return channel;
  if (errno != EINPROGRESS) return errno_error(failed, errno);
  const auto ready = wait_until_ready(fd, POLLOUT, &deadline);
  if (!ready) return ready.error();
  if (!*ready) return late(failed);
  int problem = 0;
  socklen_t size = sizeof(problem);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0) problem = errno;
  if (problem != 0) return errno_error(failed, problem);
  return channel;
}

Result<std::size_t> Channel::read_some(char* into, std::size_t size, const SteadyTime* deadline) {
  while (true) {
    const auto got = recv(socket_.get(), into, size, 0);
    if (got > 0) {
      if (read_ != nullptr) *read_ += static_cast<std::uint64_t>(got);
      return static_cast<std::size_t>(got);
    }
    if (got == 0) return Error{Code::disconnected, "it closed the connection", ""};
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return broken("reading");
    const auto ready = wait_until_ready(socket_.get(), POLLIN, deadline);
    if (!ready) return ready.error();
    if (!*ready) return late("reading");
  }
}

Result<std::size_t> Channel::write_some(std::string_view bytes) {
  while (true) {
    const auto sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      if (written_ != nullptr) *written_ += static_cast<std::uint64_t>(sent);
      return static_cast<std::size_t>(sent);
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::size_t{0};
    if (errno != EINTR) return broken("writing");
  }
}

void Channel::seal(std::string& bytes, std::size_t from) {
  if (sealing_) sent_.put(bytes, from);
}

Result<void> Channel::write_all(std::string_view bytes, Milliseconds patience) {
  if (!sealing_) return write_sealed(bytes, patience);
  std::string sealed(bytes);
  sent_.put(sealed, 0);
  return write_sealed(sealed, patience);
}

Result<void> Channel::write_sealed(std::string_view bytes, Milliseconds patience) {
  SteadyTime deadline = Clock::now() + patience;
  while (!bytes.empty()) {
    const auto sent = write_some(bytes);
    if (!sent) return sent.error();
    bytes.remove_prefix(*sent);
    if (*sent > 0) {
      deadline = Clock::now() + patience;
      continue;
    }
    const auto ready = wait_until_ready(socket_.get(), POLLOUT, &deadline);
    if (!ready) return ready.error();
    if (!*ready) return late("writing");
  }
  return {};
}

void Channel::finish_writing() { ::shutdown(socket_.get(), SHUT_WR); }

void Channel::shut_down() { ::shutdown(socket_.get(), SHUT_RDWR); }

Result<Listener> Listener::open(const std::string& address, Addresses allowed) {
  const auto at = parse_address(address);
  if (!at) return at.error();
  auto made = open_socket(*at, allowed);
  if (!made) return made.error();
  const int on = 1;
  if (setsockopt(made->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      fcntl(made->get(), F_SETFL, O_NONBLOCK) != 0)
    return errno_error("a socket cannot be set up", errno);
  if (bind(made->get(), at->raw(), at->size) != 0 || listen(made->get(), kBacklog) != 0)
    return errno_error("listening at " + address, errno);
  auto bound = name_of_socket(made->get());
  if (!bound) return bound.error();
  return Listener(std::move(*made), std::move(*bound));
}

Result<Descriptor> Listener::accept() {
  const int fd = ::accept(socket_.get(), nullptr, nullptr);
  if (fd < 0) {
    // The connection may be gone again, or descriptors be short: neither ends the worker.
    if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)
      return errno_error("accepting connections", errno);
    return Descriptor();
  }
  Descriptor connection(fd);
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  return connection;
}

}  // namespace caravan::fabric
