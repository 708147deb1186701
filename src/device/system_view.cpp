#include "device/system_view.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>

namespace caravan::device {
namespace {

/// The text of an address that others could reach, or nothing.
std::optional<Address> address_of(const ifaddrs& entry) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (entry.ifa_addr == nullptr) return std::nullopt;
  if (entry.ifa_addr->sa_family == AF_INET) {
    const in_addr& address = reinterpret_cast<const sockaddr_in*>(entry.ifa_addr)->sin_addr;
    const std::uint32_t number = ntohl(address.s_addr);
    const bool loopback = number >> 24U == 127;
    const bool link_local = number >> 16U == 0xa9feU;
    if (loopback || link_local || ::inet_ntop(AF_INET, &address, text.data(), text.size()) == nullptr)
      return std::nullopt;
    return Address{entry.ifa_name, text.data(), false};
  }
  if (entry.ifa_addr->sa_family == AF_INET6) {
    const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(entry.ifa_addr)->sin6_addr;
    if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_LINKLOCAL(&address)) return std::nullopt;
    if (::inet_ntop(AF_INET6, &address, text.data(), text.size()) == nullptr) return std::nullopt;
    return Address{entry.ifa_name, text.data(), true};
  }
  return std::nullopt;
}

/// getifaddrs(): the one way to addresses that Android leaves to apps. It may leave flags out, so that only
/// addresses of interfaces that are known to be down are skipped.
Result<std::vector<Address>> read_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return errno_error("cannot list the addresses", errno);
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  std::vector<Address> found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_flags != 0 && (entry->ifa_flags & IFF_UP) == 0) continue;
    if (auto address = address_of(*entry)) found.push_back(std::move(*address));
  }
  return found;
}

}  // namespace

SystemView this_system(fs::path storage, RunProgram run) {
  utsname name{};
  const bool named = ::uname(&name) == 0;
  return {.machine = named ? name.machine : "",
          .storage = std::move(storage),
          .run = std::move(run),
          .free_space = [](const fs::path& folder) { return caravan::free_space(folder); },
          .addresses = read_addresses};
}

}  // namespace caravan::device
