#include "cli/peer_address.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "link/dial.h"

namespace caravan::cli {

Result<link::LinkAddress> peer_address(std::string_view text, std::uint16_t usual_port) {
  const auto wrong = [&](std::string_view why) {
    return Error{Code::invalid, fmt::format("'{}' is no address: {}", printable(text), why),
                 fmt::format("write 192.168.1.20, 192.168.1.20:{0} or [fe80::1%wlan0]:{0}", usual_port)};
  };
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return wrong("a ] is missing");
    host = text.substr(1, end - 1);
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && !rest.starts_with(':')) return wrong("only :PORT may follow the ]");
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty()) return wrong("the port is missing");
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    const std::size_t colon = text.find(':');
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return wrong("the port is missing");
  }
  if (host.empty()) return wrong("the host is missing");
  link::LinkAddress address{std::string(host), usual_port};
  if (port.empty()) return address;
  const bool digits =
      port.size() <= 5 && std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  const int number = digits ? std::stoi(std::string(port)) : 0;
  if (number < 1 || number > 65535) return wrong("the port must be from 1 to 65535");
  address.port = static_cast<std::uint16_t>(number);
  return address;
}

Result<std::vector<link::LinkAddress>> peer_addresses(const std::vector<std::string>& texts) {
  std::vector<link::LinkAddress> addresses;
  addresses.reserve(texts.size());
  for (const std::string& text : texts) {
    auto address = peer_address(text);
    if (!address) return address.error();
    addresses.push_back(std::move(*address));
  }
  return addresses;
}

}  // namespace caravan::cli
