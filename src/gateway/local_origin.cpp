#include "gateway/local_origin.h"

#include <string_view>

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include "base/text.h"

namespace caravan::gateway {
namespace {

/// "[::1]:8080", "localhost:8080" or "10.0.0.1" without the port and the brackets.
std::string host_of(std::string_view authority) {
  if (authority.starts_with('[')) return std::string(authority.substr(1, authority.find(']') - 1));
  return std::string(authority.substr(0, authority.find(':')));
}

enum class Host { loopback, address, name };

Host kind_of(std::string_view authority) {
  const std::string host = host_of(authority);
  if (engine::same_letters(host, "localhost")) return Host::loopback;
  boost::system::error_code not_an_address;
  const auto address = boost::asio::ip::make_address(host, not_an_address);
  if (not_an_address) return Host::name;
  return address.is_loopback() ? Host::loopback : Host::address;
}

ApiError refused(std::string_view header, std::string_view value) {
  return ApiError{
      403,
      fmt::format("refused: the {} header is '{}'; this server is for programs on this device only", header,
                  printable(value)),
      "", "foreign_origin"};
}

}  // namespace

std::optional<ApiError> check_local_origin(const Request& request) {
  const auto host = request.header("Host");
  if (host && kind_of(*host) == Host::name) return refused("Host", *host);
  const auto origin = request.header("Origin");
  if (!origin) return std::nullopt;
  // Sandboxed frames of any page send "null".
  if (*origin == "null") return refused("Origin", *origin);
  // Other schemes belong to applications (app, vscode-webview), which no page can pretend to be.
  for (const std::string_view scheme : {"http://", "https://"}) {
    const bool of_a_page = origin->starts_with(scheme);
    if (of_a_page && kind_of(origin->substr(scheme.size())) != Host::loopback)
      return refused("Origin", *origin);
  }
  return std::nullopt;
}

}  // namespace caravan::gateway
