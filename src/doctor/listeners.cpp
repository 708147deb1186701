#include "doctor/listeners.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/files.h"
#include "base/text.h"
#include "device/source.h"

namespace caravan::doctor {
namespace {

constexpr std::size_t kMaxListeners = 4096;
constexpr std::size_t kWordDigits = 8;
constexpr std::string_view kTcpListens = "0A";
constexpr std::string_view kUdpIsBound = "07";

template <typename Number>
std::optional<Number> parse_number(std::string_view text, int base) {
  Number number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// The kernel prints the four bytes of each word as a number of this machine.
bool is_loopback(std::string_view hex) {
  if (hex.size() == kWordDigits) {
    const auto word = parse_number<std::uint32_t>(hex, 16);
    return word && ntohl(*word) >> 24U == 127;
  }
  in6_addr address{};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto word = parse_number<std::uint32_t>(hex.substr(i * kWordDigits, kWordDigits), 16);
    if (!word) return false;
    std::memcpy(&address.s6_addr[i * 4], &*word, sizeof(*word));
  }
  const bool mapped = IN6_IS_ADDR_V4MAPPED(&address);
  return IN6_IS_ADDR_LOOPBACK(&address) || (mapped && address.s6_addr[12] == 127);
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  for (std::string& word : split(line, ' ')) {
    if (!word.empty()) words.push_back(std::move(word));
  }
  return words;
}

std::optional<Listener> parse_line(const std::string& line, bool udp, std::size_t address_digits) {
  constexpr std::size_t kAddress = 1;
  constexpr std::size_t kState = 3;
  constexpr std::size_t kInode = 9;
  const auto words = words_of(line);
  if (words.size() <= kInode || words[kState] != (udp ? kUdpIsBound : kTcpListens)) return std::nullopt;
  const auto address = split(words[kAddress], ':');
  if (address.size() != 2 || address[0].size() != address_digits) return std::nullopt;
  const auto port = parse_number<std::uint16_t>(address[1], 16);
  const auto inode = parse_number<std::uint64_t>(words[kInode], 10);
  if (!port || !inode) return std::nullopt;
  return Listener{.port = *port, .udp = udp, .loopback = is_loopback(address[0]), .inode = *inode};
}

/// The number in "socket:[123]".
std::optional<std::uint64_t> socket_of(const fs::path& descriptor) {
  constexpr std::string_view kPrefix = "socket:[";
  std::error_code hidden;
  const std::string target = fs::read_symlink(descriptor, hidden).string();
  if (hidden || target.rfind(kPrefix, 0) != 0 || target.back() != ']') return std::nullopt;
  const std::string_view number(target);
  return parse_number<std::uint64_t>(number.substr(kPrefix.size(), number.size() - kPrefix.size() - 1), 10);
}

/// Fills in who holds the sockets, from the descriptors of all processes that we may look at.
void name_owners(const fs::path& proc, std::vector<Listener>& listeners) {
  const auto processes = device::names_in(proc, "");
  if (!processes) return;
  for (const std::string& process : *processes) {
    const auto pid = parse_number<int>(process, 10);
    const auto descriptors = pid ? device::names_in(proc / process / "fd", "")
                                 : Result<std::vector<std::string>>(std::vector<std::string>());
    if (!descriptors) continue;
    for (const std::string& descriptor : *descriptors) {
      const auto socket = socket_of(proc / process / "fd" / descriptor);
      if (!socket) continue;
      for (Listener& listener : listeners) {
        if (listener.inode != *socket || listener.pid != 0) continue;
        listener.pid = *pid;
        listener.program = printable(device::read_line(proc / process / "comm").value_or(""));
      }
    }
  }
}

}  // namespace

std::string Listener::owner() const {
  if (pid == 0) return "";
  return fmt::format("{} (process {})", program.empty() ? "a program" : program, pid);
}

std::vector<Listener> parse_listeners(std::string_view text, ListenerTable table) {
  const bool udp = table == ListenerTable::udp4 || table == ListenerTable::udp6;
  const bool ipv6 = table == ListenerTable::tcp6 || table == ListenerTable::udp6;
  std::vector<Listener> listeners;
  for (const std::string& line : split(text, '\n')) {
    if (listeners.size() == kMaxListeners) break;
    if (const auto one = parse_line(line, udp, ipv6 ? 4 * kWordDigits : kWordDigits))
      listeners.push_back(*one);
  }
  return listeners;
}

std::vector<Listener> read_listeners(const fs::path& root) {
  // 150 bytes a connection, and those that have ended lately are there too.
  constexpr Bytes kMostOfATable = mebibytes(32);
  constexpr std::array<std::pair<const char*, ListenerTable>, 4> kFiles{{{"tcp", ListenerTable::tcp4},
                                                                         {"tcp6", ListenerTable::tcp6},
                                                                         {"udp", ListenerTable::udp4},
                                                                         {"udp6", ListenerTable::udp6}}};
  std::vector<Listener> all;
  for (const auto& [name, table] : kFiles) {
    const auto text = read_file(root / "proc/net" / name, kMostOfATable);
    const auto found = text ? parse_listeners(*text, table) : std::vector<Listener>();
    all.insert(all.end(), found.begin(), found.end());
  }
  if (!all.empty()) name_owners(root / "proc", all);
  return all;
}

}  // namespace caravan::doctor
