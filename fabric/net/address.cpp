#include "fabric/net/address.h"

#include <netdb.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "base/files.h"
#include "base/text.h"

namespace caravan::fabric {
namespace {

constexpr std::size_t kLongestShown = 80;

template <typename Specific>
Specific as(const sockaddr_storage& storage) {
  Specific specific{};
  std::memcpy(&specific, &storage, sizeof(specific));
  return specific;
}

bool is_loopback(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) return (ntohl(as<sockaddr_in>(storage).sin_addr.s_addr) >> 24U) == 127;
  if (storage.ss_family != AF_INET6) return false;
  const auto v6 = as<sockaddr_in6>(storage);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

/// Up to five digits, at most 65535.
bool is_port(std::string_view digits) {
  if (digits.empty() || digits.size() > 5) return false;
  int port = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return false;
    port = port * 10 + (digit - '0');
  }
  return port <= 65535;
}

}  // namespace

std::uint16_t Address::port() const {
  // Both kinds have it at the same place.
  return storage.ss_family == AF_INET ? ntohs(as<sockaddr_in>(storage).sin_port)
                                      : ntohs(as<sockaddr_in6>(storage).sin6_port);
}

Result<Address> parse_address(std::string_view text, std::string_view what) {
  const auto wrong = [&](std::string_view why) {
    return Error{Code::invalid,
                 fmt::format("{} '{}' {}", what, printable(text.substr(0, kLongestShown)), why),
                 "write it like 127.0.0.1:4012 or [::1]:4012"};
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("has no port");
  auto host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return wrong("needs [ and ] around its address");
  const std::string port(text.substr(colon + 1));
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  // Without a host it would be the loopback address.
  if (host.empty() || !is_port(port) ||
      getaddrinfo(std::string(host).c_str(), port.c_str(), &wanted, &list) != 0)
    return wrong("is not a numeric address and a port");
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(list, &freeaddrinfo);
  Address address{std::string(text), {}, found->ai_addrlen};
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  return address;
}

Result<void> check_allowed(const Address& address, Addresses allowed) {
  if (allowed == Addresses::any || is_loopback(address.storage)) return {};
  return Error{Code::invalid, fmt::format("{} is not an address of this device alone", address.text),
               "use 127.0.0.1: what goes over a network goes through the node's tunnels"};
}

Result<std::string> name_of_socket(int socket) {
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  auto* const raw = reinterpret_cast<sockaddr*>(&own);
  if (getsockname(socket, raw, &size) != 0) return errno_error("the system does not tell the address", errno);
  std::array<char, 64> host{};
  std::array<char, 16> port{};
  if (getnameinfo(raw, size, host.data(), host.size(), port.data(), port.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return Error{Code::bug, "the system does not tell the address", ""};
  if (own.ss_family == AF_INET6) return fmt::format("[{}]:{}", host.data(), port.data());
  return fmt::format("{}:{}", host.data(), port.data());
}

}  // namespace caravan::fabric
