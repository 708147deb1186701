#include "fabric/worker/channel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "base/files.h"

namespace caravan::fabric::worker {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

constexpr std::size_t kReadAtOnce = std::size_t{64} << 10U;

int poll_time(const SteadyTime* deadline) {
  if (deadline == nullptr) return -1;
  const auto left = std::chrono::ceil<Milliseconds>(*deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

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
  return {Code::disconnected, fmt::format("{}: the other end did nothing in time", what),
          "check that it still runs"};
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof(v4));
    return (ntohl(v4.sin_addr.s_addr) >> 24U) == 127;
  }
  if (address->sa_family != AF_INET6) return false;
  sockaddr_in6 v6{};
  std::memcpy(&v6, address, sizeof(v6));
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

/// The one address that `text` names; no names are looked up.
Result<AddressList> parse_address(const std::string& text, Addresses allowed) {
  const auto wrong = [&text](const char* why) {
    return Error{Code::invalid, fmt::format("'{}' {}", text, why),
                 "write it like 127.0.0.1:4012 or [::1]:4012"};
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return wrong("has no port");
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  if (getaddrinfo(host.c_str(), text.c_str() + colon + 1, &wanted, &list) != 0)
    return wrong("is not an address and a port");
  AddressList found(list, &freeaddrinfo);
  if (allowed == Addresses::loopback && !is_loopback(found->ai_addr))
    return Error{Code::invalid, fmt::format("{} is not an address of this device alone", text),
                 "use 127.0.0.1: what goes over a network goes through the node's tunnels"};
  return found;
}

Result<Descriptor> open_socket(int family) {
  Descriptor made(::socket(family, SOCK_STREAM, 0));
  if (made.get() < 0) return errno_error("a socket cannot be made", errno);
  if (fcntl(made.get(), F_SETFD, FD_CLOEXEC) != 0) return errno_error("a socket cannot be set up", errno);
  return made;
}

Result<std::string> name_of_socket(int fd) {
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0)
    return errno_error("the system does not tell the address", errno);
  std::array<char, 64> host{};
  std::array<char, 16> port{};
  if (getnameinfo(reinterpret_cast<sockaddr*>(&own), size, host.data(), host.size(), port.data(), port.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return Error{Code::bug, "the system does not tell the address", ""};
  if (own.ss_family == AF_INET6) return fmt::format("[{}]:{}", host.data(), port.data());
  return fmt::format("{}:{}", host.data(), port.data());
}

}  // namespace

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
  const auto to = parse_address(address, allowed);
  if (!to) return to.error();
  auto made = open_socket((*to)->ai_family);
  if (!made) return made.error();
  auto channel = adopt(std::move(*made));
  if (!channel) return channel.error();
  const int fd = channel->socket_.get();
  const std::string failed = "connecting to " + address;
  if (::connect(fd, (*to)->ai_addr, (*to)->ai_addrlen) == 0) return channel;
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
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) return Error{Code::disconnected, "the other end closed the connection", ""};
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
      return Error{Code::disconnected, fmt::format("reading: {}", std::strerror(errno)), ""};
    const auto ready = wait_until_ready(socket_.get(), POLLIN, deadline);
    if (!ready) return ready.error();
    if (!*ready) return late("reading");
  }
}

Result<void> Channel::write_all(std::string_view bytes, Milliseconds patience) {
  SteadyTime deadline = std::chrono::steady_clock::now() + patience;
  while (!bytes.empty()) {
    const auto sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      deadline = std::chrono::steady_clock::now() + patience;
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
      return Error{Code::disconnected, fmt::format("writing: {}", std::strerror(errno)), ""};
    const auto ready = wait_until_ready(socket_.get(), POLLOUT, &deadline);
    if (!ready) return ready.error();
    if (!*ready) return late("writing");
  }
  return {};
}

void Channel::finish_writing() { ::shutdown(socket_.get(), SHUT_WR); }

void Channel::shut_down() { ::shutdown(socket_.get(), SHUT_RDWR); }

FrameReader::FrameReader(Channel& channel, Expecting expecting)
    : channel_(channel), expecting_(expecting), buffer_(kReadAtOnce) {}

Result<void> FrameReader::fill(std::size_t least, const SteadyTime* deadline) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (buffer_.size() - begin_ < least) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  while (end_ - begin_ < least) {
    const auto got = channel_.read_some(buffer_.data() + end_, buffer_.size() - end_, deadline);
    if (!got) return got.error();
    end_ += *got;
  }
  return {};
}

Result<Frame> FrameReader::next(const SteadyTime* deadline) {
  if (const auto filled = fill(kHeaderBytes, deadline); !filled) return filled.error();
  const auto header = read_header({buffer_.data() + begin_, kHeaderBytes}, expecting_);
  if (!header) return header.error();
  begin_ += kHeaderBytes;
  Frame frame;
  frame.type = header->type;
  frame.payload.resize(header->payload_bytes);
  std::size_t done = std::min<std::size_t>(frame.payload.size(), end_ - begin_);
  std::copy_n(buffer_.data() + begin_, done, frame.payload.data());
  begin_ += done;
  while (done < frame.payload.size()) {
    const auto got = channel_.read_some(frame.payload.data() + done, frame.payload.size() - done, deadline);
    if (!got) return got.error();
    done += *got;
  }
  return frame;
}

Result<Listener> Listener::open(const std::string& address, Addresses allowed) {
  const auto at = parse_address(address, allowed);
  if (!at) return at.error();
  auto made = open_socket((*at)->ai_family);
  if (!made) return made.error();
  const int on = 1;
  if (setsockopt(made->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      fcntl(made->get(), F_SETFL, O_NONBLOCK) != 0)
    return errno_error("a socket cannot be set up", errno);
  if (bind(made->get(), (*at)->ai_addr, (*at)->ai_addrlen) != 0)
    return errno_error("listening at " + address, errno);
  if (listen(made->get(), 16) != 0) return errno_error("listening at " + address, errno);
  const auto name = name_of_socket(made->get());
  if (!name) return name.error();
  return Listener(std::move(*made), *name);
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

}  // namespace caravan::fabric::worker
