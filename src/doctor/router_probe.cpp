#include "doctor/router_probe.h"

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace caravan::doctor {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::chrono::milliseconds kPatience{1000};
constexpr std::array<std::uint16_t, 3> kPorts{53, 80, 443};
constexpr std::size_t kMostRouters = 8;
constexpr int kWidest = 16;
constexpr int kNarrowest = 30;

}  // namespace

std::vector<std::string> likely_routers(const std::vector<NetworkAddress>& own,
                                        const std::vector<NetworkAddress>& others) {
  std::set<std::string> devices;
  for (const NetworkAddress& one : others) devices.insert(one.address);
  std::vector<std::pair<asio::ip::address_v4, int>> networks;
  for (const NetworkAddress& one : own) {
    boost::system::error_code no_address;
    const auto address = asio::ip::make_address_v4(one.address, no_address);
    if (no_address) continue;
    devices.insert(address.to_string());
    if (one.prefix >= kWidest && one.prefix <= kNarrowest) networks.emplace_back(address, one.prefix);
  }
  std::vector<std::string> routers;
  for (const auto& [address, prefix] : networks) {
    const std::uint32_t hosts = (std::uint32_t{1} << static_cast<unsigned>(32 - prefix)) - 1;
    const std::uint32_t network = address.to_uint() & ~hosts;
    for (const std::uint32_t place : {std::uint32_t{1}, hosts - 1}) {
      std::string router = asio::ip::address_v4(network | place).to_string();
      const bool is_new = devices.insert(router).second;
      if (is_new && routers.size() < kMostRouters) routers.push_back(std::move(router));
    }
  }
  return routers;
}

bool router_answers(const std::vector<NetworkAddress>& own, const std::vector<NetworkAddress>& others) {
  asio::io_context loop(1);
  bool answers = false;
  std::vector<std::unique_ptr<tcp::socket>> sockets;
  for (const std::string& router : likely_routers(own, others)) {
    for (const std::uint16_t port : kPorts) {
      sockets.push_back(std::make_unique<tcp::socket>(loop));
      sockets.back()->async_connect(
          tcp::endpoint(asio::ip::make_address(router), port), [&](const boost::system::error_code& failure) {
            const bool is_there = !failure || failure == asio::error::connection_refused;
            answers = answers || is_there;
            if (answers) loop.stop();
          });
    }
  }
  loop.run_for(kPatience);
  return answers;
}

}  // namespace caravan::doctor
