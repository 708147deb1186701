#include "doctor/exposure_checks.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include <gmock/gmock.h>

#include "base/descriptor.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Listens on 127.0.0.1, which the tests call an address that others can reach.
class Listening {
 public:
  Listening() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(name);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), length), 0);
    EXPECT_EQ(::listen(socket_.get(), 4), 0);
    EXPECT_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &length), 0);
    port_ = ntohs(name.sin_port);
  }
  std::uint16_t port() const { return port_; }

  /// Takes connections until one sends something, answers that, and gives it back.
  std::string answer_one(std::string_view reply) const {
    for (;;) {
      const Descriptor client(::accept(socket_.get(), nullptr, nullptr));
      if (client.get() < 0) return "";
      std::array<char, 4096> buffer{};
      const ssize_t got = ::read(client.get(), buffer.data(), buffer.size());
      if (got <= 0) continue;
      EXPECT_EQ(::write(client.get(), reply.data(), reply.size()), static_cast<ssize_t>(reply.size()));
      return std::string(buffer.data(), static_cast<std::size_t>(got));
    }
  }
  /// What the only connection so far has sent; empty when it was just closed.
  std::string received() const {
    const Descriptor client(::accept(socket_.get(), nullptr, nullptr));
    std::array<char, 64> buffer{};
    const ssize_t got = ::read(client.get(), buffer.data(), buffer.size());
    return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : "";
  }

 private:
  Descriptor socket_;
  std::uint16_t port_ = 0;
};

/// A system without /proc, whose address is 127.0.0.1.
device::SystemView loopback_only() {
  device::SystemView system;
  system.root = "/nonexistent";
  system.addresses = []() -> Result<std::vector<device::Address>> {
    return std::vector<device::Address>{{"lo", "127.0.0.1", false}};
  };
  return system;
}

TEST(ExposureChecks, NothingIsOpen) {
  const ExposureState state = read_exposure_state(loopback_only(), {.rpc = {}, .http = {}});
  EXPECT_EQ(rpc_exposed(state).status, Status::ok);
  EXPECT_EQ(llama_exposed(state).status, Status::ok);
}

TEST(ExposureChecks, AnRpcServerGetsNoByte) {
  const Listening server;
  const ExposureState state = read_exposure_state(loopback_only(), {.rpc = {server.port()}, .http = {}});
  const Finding finding = rpc_exposed(state);
  EXPECT_EQ(finding.status, Status::problem);
  EXPECT_THAT(finding.found, HasSubstr("127.0.0.1:" + std::to_string(server.port())));
  EXPECT_THAT(finding.cure, Contains(HasSubstr("--host 127.0.0.1")));
  EXPECT_EQ(server.received(), "");
}

TEST(ExposureChecks, APortWhereNobodyListens) {
  std::uint16_t port = 0;
  {
    const Listening gone;
    port = gone.port();
  }
  EXPECT_THAT(read_exposure_state(loopback_only(), {.rpc = {port}, .http = {port}}).rpc, IsEmpty());
}

TEST(ExposureChecks, ALlamaServerWithoutAKey) {
  for (const bool has_key : {false, true}) {
    const Listening server;
    std::string request;
    std::thread other([&] {
      request =
          server.answer_one(has_key ? "HTTP/1.1 401 Unauthorized\r\nServer: llama.cpp\r\nContent-Length: "
                                      "2\r\n\r\n{}"
                                    : "HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nContent-Length: 2\r\n\r\n{}");
    });
    const ExposureState state = read_exposure_state(loopback_only(), {.rpc = {}, .http = {server.port()}});
    other.join();
    EXPECT_THAT(request, HasSubstr("GET /props "));
    ASSERT_EQ(state.servers.size(), 1U);
    EXPECT_EQ(llama_exposed(state).status, has_key ? Status::ok : Status::problem);
  }
}

TEST(ExposureChecks, KnownPrograms) {
  ExposureState state{std::vector<device::Address>{}, {}, {}};
  state.rpc = {{"192.168.1.5", 50052, "ssh", 7}};
  EXPECT_EQ(rpc_exposed(state).status, Status::note);
  state.rpc.push_back({"fd00::5", 50053, "ggml-rpc-server", 8});
  EXPECT_EQ(rpc_exposed(state).status, Status::problem);
  EXPECT_THAT(rpc_exposed(state).found, HasSubstr("ggml-rpc-server answers at [fd00::5]:50053"));
  EXPECT_THAT(rpc_exposed(state).cure, Contains("kill 8"));
  state.servers = {{{"192.168.1.5", 8080, "nginx", 9}, 200, "nginx"}};
  EXPECT_EQ(llama_exposed(state).status, Status::ok);
}

TEST(ExposureChecks, AddressesThatAreHidden) {
  device::SystemView system = loopback_only();
  system.addresses = nullptr;
  const ExposureState state = read_exposure_state(system, {});
  EXPECT_EQ(rpc_exposed(state).status, Status::skipped);
  EXPECT_EQ(llama_exposed(state).status, Status::skipped);
}

}  // namespace
}  // namespace caravan::doctor
