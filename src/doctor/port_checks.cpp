#include "doctor/port_checks.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/descriptor.h"
#include "base/text.h"
#include "doctor/listeners.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{8};
constexpr const char* kOurProgram = "caravan";

/// What bind() says. Like Caravan's own sockets it does not mind connections of an earlier one that linger.
std::optional<Error> try_to_bind(std::uint16_t port, bool udp, std::uint32_t address) {
  const Descriptor socket(::socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return errno_error("cannot make a socket", errno);
  const int yes = 1;
  if (!udp) (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  name.sin_addr.s_addr = htonl(address);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0) return std::nullopt;
  return errno_error("cannot be used", errno);
}

PortUse read_use(std::uint16_t port, bool udp, std::uint32_t address,
                 const std::vector<Listener>& listeners) {
  PortUse use{.port = port, .udp = udp, .taken = try_to_bind(port, udp, address)};
  if (!use.taken) return use;
  for (const Listener& listener : listeners) {
    if (listener.port != port || listener.udp != udp || !use.owner.empty()) continue;
    use.program = listener.program;
    use.owner = listener.owner();
  }
  return use;
}

std::string name_of(const PortUse& use) {
  return fmt::format("{} port {}", use.udp ? "UDP" : "TCP", use.port);
}

bool is_ours(const PortUse& use) { return use.program == kOurProgram; }

std::string taken_text(const PortUse& use) {
  if (use.owner.empty()) {
    return fmt::format("{} {}; which program has it is hidden (perhaps a node of Caravan that runs)",
                       name_of(use), use.taken->message);
  }
  return fmt::format("{} is taken by {}", name_of(use), use.owner);
}

std::vector<std::string> cure_of(const PortUse& use, std::string other_way) {
  std::vector<std::string> cure;
  const std::size_t process = use.owner.find("(process ");
  if (process != std::string::npos) {
    const std::string rest = use.owner.substr(process + std::string_view("(process ").size());
    cure.push_back(fmt::format("kill {}    # ends {}", rest.substr(0, rest.find(')')),
                               use.program.empty() ? "that program" : use.program));
  }
  if (!other_way.empty()) cure.push_back(std::move(other_way));
  if (cure.empty()) cure.emplace_back("end the other program");
  return cure;
}

}  // namespace

Finding api_port(const PortState& state) {
  const PortUse& use = state.api;
  if (!use.taken) return ok(name_of(use) + " is free");
  if (is_ours(use)) return ok(fmt::format("{} is served by {}", name_of(use), use.owner));
  return {Status::problem, taken_text(use), "clients look for the API of this device there",
          cure_of(use, "caravan up --port 8081    # or another port")};
}

Finding link_port(const PortState& state) {
  for (const PortUse* use : {&state.link, &state.beacon}) {
    if (!use->taken || is_ours(*use)) continue;
    return {Status::problem, taken_text(*use), "the other devices look for this one there",
            cure_of(*use, "")};
  }
  return ok(
      fmt::format("TCP and UDP port {} are {}", state.link.port, state.link.taken ? "Caravan's" : "free"));
}

Finding rpc_ports(const PortState& state) {
  std::vector<std::string> taken;
  for (const PortUse& use : state.rpc) {
    if (use.taken) {
      taken.push_back(use.owner.empty() ? fmt::format("{}", use.port)
                                        : fmt::format("{} by {}", use.port, use.owner));
    }
  }
  if (taken.empty()) {
    return ok(state.rpc.empty()
                  ? "none is wanted"
                  : fmt::format("{} to {} are free", state.rpc.front().port, state.rpc.back().port));
  }
  return {
      Status::note,
      "taken: " + join(taken, ", "),
      "Caravan chooses other ports by itself; but an RPC server that was started by hand has no protection",
      {"end it if you do not need it: Caravan starts its own"}};
}

PortState read_port_state(const fs::path& root, const WantedPorts& wanted) {
  const auto listeners = read_listeners(root);
  PortState state{.api = read_use(wanted.api, false, INADDR_LOOPBACK, listeners),
                  .link = read_use(wanted.link, false, INADDR_ANY, listeners),
                  .beacon = read_use(wanted.link, true, INADDR_ANY, listeners)};
  for (const std::uint16_t port : wanted.rpc)
    state.rpc.push_back(read_use(port, false, INADDR_LOOPBACK, listeners));
  return state;
}

Step port_step(fs::path root) {
  return make_step<PortState>({{{"api-port", "TCP port 8080, for clients"}, api_port},
                               {{"link-port", "TCP and UDP port 7433, for the other devices"}, link_port},
                               {{"rpc-ports", "TCP ports from 50052, for RPC servers"}, rpc_ports}},
                              kLimit, [root = std::move(root)] { return read_port_state(root, {}); });
}

}  // namespace caravan::doctor
