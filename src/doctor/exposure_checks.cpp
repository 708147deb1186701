#include "doctor/exposure_checks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <set>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "base/descriptor.h"
#include "base/text.h"
#include "doctor/listeners.h"
#include "engine/http_client.h"

namespace caravan::doctor {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kLimit{12};
constexpr std::chrono::milliseconds kConnectTime{300};  // to ourselves: it takes microseconds
constexpr std::chrono::milliseconds kAnswerTime{2000};
constexpr std::size_t kMaxAddresses = 8;
constexpr std::size_t kMaxPorts = 12;
constexpr std::size_t kMaxAsked = 4;  // with kAnswerTime, less than kLimit
constexpr std::size_t kMaxBody = std::size_t{256} << 10U;

struct SocketName {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

std::optional<SocketName> socket_name(const device::Address& address, std::uint16_t port) {
  SocketName name;
  if (address.ipv6) {
    auto& six = reinterpret_cast<sockaddr_in6&>(name.storage);
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    name.length = sizeof(six);
    if (::inet_pton(AF_INET6, address.address.c_str(), &six.sin6_addr) != 1) return std::nullopt;
    return name;
  }
  auto& four = reinterpret_cast<sockaddr_in&>(name.storage);
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  name.length = sizeof(four);
  if (::inet_pton(AF_INET, address.address.c_str(), &four.sin_addr) != 1) return std::nullopt;
  return name;
}

/// Whether a connection can be made; it is closed at once.
bool accepts(const device::Address& address, std::uint16_t port) {
  const auto name = socket_name(address, port);
  if (!name) return false;
  const Descriptor socket(::socket(name->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) return false;
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name->storage), name->length) == 0)
    return true;
  if (errno != EINPROGRESS) return false;
  pollfd wait{socket.get(), POLLOUT, 0};
  if (::poll(&wait, 1, static_cast<int>(kConnectTime.count())) != 1) return false;
  int failure = 0;
  socklen_t length = sizeof(failure);
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &failure, &length) == 0 && failure == 0;
}

bool is_named(const Listener& listener, std::string_view part) {
  return listener.program.find(part) != std::string::npos;
}

/// `usual` and those of listeners that are called so, each once.
std::vector<std::uint16_t> ports_to_try(const std::vector<std::uint16_t>& usual,
                                        const std::vector<Listener>& listeners, std::string_view name) {
  std::set<std::uint16_t> ports(usual.begin(), usual.end());
  for (const Listener& one : listeners) {
    if (!one.udp && !one.loopback && is_named(one, name)) ports.insert(one.port);
  }
  std::vector<std::uint16_t> list(ports.begin(), ports.end());
  list.resize(std::min(list.size(), kMaxPorts));
  return list;
}

std::vector<OpenPort> open_ports(const std::vector<device::Address>& addresses,
                                 const std::vector<std::uint16_t>& ports,
                                 const std::vector<Listener>& listeners) {
  std::vector<OpenPort> open;
  for (const device::Address& address : addresses) {
    for (const std::uint16_t port : ports) {
      if (!accepts(address, port)) continue;
      OpenPort one{.address = address.address, .port = port};
      const auto owner = std::find_if(listeners.begin(), listeners.end(), [&](const Listener& listener) {
        return listener.port == port && !listener.udp && !listener.loopback && listener.pid != 0;
      });
      if (owner != listeners.end()) {
        one.program = owner->program;
        one.pid = owner->pid;
      }
      open.push_back(std::move(one));
    }
  }
  return open;
}

/// What is there, if it speaks HTTP.
std::optional<OpenServer> ask_server(const OpenPort& where) {
  asio::io_context loop(1);
  std::optional<OpenServer> answer;
  const engine::HttpAddress address = engine::TcpAddress{where.address, where.port};
  asio::co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        engine::HttpRequest request;
        request.target = "/props";
        const auto reply = co_await engine::http_call(address, std::move(request), kAnswerTime, kMaxBody);
        if (!reply.ok()) co_return;
        const std::string* server = engine::find_header(reply->headers, "Server");
        answer = OpenServer{where, reply->status, server == nullptr ? "" : *server};
      },
      [](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
      });
  loop.run();
  return answer;
}

std::string at(const OpenPort& port) {
  const bool ipv6 = port.address.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", ipv6 ? "[" : "", port.address, ipv6 ? "]" : "", port.port);
}

std::string end_it(const OpenPort& port, std::string_view name) {
  return port.pid != 0 ? fmt::format("kill {}", port.pid) : fmt::format("pkill {}", name);
}

}  // namespace

Finding rpc_exposed(const ExposureState& state) {
  if (!state.addresses) return skipped(state.addresses.error().message);
  if (state.rpc.empty()) return ok("no RPC server can be reached from the network");
  const OpenPort* server = nullptr;
  for (const OpenPort& port : state.rpc) {
    const bool maybe = port.program.empty() || port.program.find("rpc-server") != std::string::npos;
    if (maybe && server == nullptr) server = &port;
  }
  if (server == nullptr) {
    const OpenPort& other = state.rpc.front();
    return {Status::note,
            fmt::format("{} answers at {}, a port of RPC servers", other.program, at(other)),
            "if it passes on what it gets to an RPC server, everybody on the network can reach that",
            {fmt::format("end it if you do not need it: kill {}", other.pid)}};
  }
  return {Status::problem,
          fmt::format("{} answers at {}: everybody on the network can reach it",
                      server->program.empty() ? "an RPC server, it seems," : server->program, at(*server)),
          "ggml's RPC server has no protection: nine bytes crash it, and whoever connects can use this "
          "device and "
          "read what it holds; Caravan starts its own, on 127.0.0.1 behind an encrypted link",
          {end_it(*server, "rpc-server"), "if you need it: start it again with --host 127.0.0.1"}};
}

Finding llama_exposed(const ExposureState& state) {
  if (!state.addresses) return skipped(state.addresses.error().message);
  const auto is_open = [](const OpenServer& one) { return one.server == "llama.cpp" && one.status == 200; };
  const auto open = std::find_if(state.servers.begin(), state.servers.end(), is_open);
  if (open == state.servers.end()) return ok("no llama-server without a key can be reached from the network");
  return {Status::problem,
          fmt::format("llama-server answers at {} without asking for a key", at(open->where)),
          "everybody on the network can use it and see what others ask it",
          {end_it(open->where, "llama-server"),
           "if you need it: start it again with --host 127.0.0.1, or with --api-key"}};
}

ExposureState read_exposure_state(const device::SystemView& system, const ExposurePorts& ports) {
  ExposureState state{
      system.addresses ? system.addresses() : Error{Code::unavailable, "the addresses are not known", ""},
      {},
      {}};
  if (!state.addresses) return state;
  std::vector<device::Address> addresses = *state.addresses;
  addresses.resize(std::min(addresses.size(), kMaxAddresses));
  const auto listeners = read_listeners(system.root);
  state.rpc = open_ports(addresses, ports_to_try(ports.rpc, listeners, "rpc-server"), listeners);
  std::set<std::uint16_t> asked;  // at one address is enough
  for (const OpenPort& port :
       open_ports(addresses, ports_to_try(ports.http, listeners, "llama-server"), listeners)) {
    if (asked.size() == kMaxAsked || !asked.insert(port.port).second) continue;
    if (auto server = ask_server(port)) state.servers.push_back(std::move(*server));
  }
  return state;
}

Step exposure_step(device::SystemView system) {
  return make_step<ExposureState>(
      {{{"rpc-exposed", "an RPC server that the network can reach"}, rpc_exposed},
       {{"llama-exposed", "a llama-server that the network can reach, without a key"}, llama_exposed}},
      kLimit, [system = std::move(system)] { return read_exposure_state(system, {}); });
}

}  // namespace caravan::doctor
