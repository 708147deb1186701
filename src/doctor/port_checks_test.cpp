#include "doctor/port_checks.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/descriptor.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

/// A port of 127.0.0.1 that is really taken while this lives: below those that a system gives to whoever asks
/// for any (32768 and up), so that nobody else takes the same number meanwhile.
class TakenPort {
 public:
  explicit TakenPort(bool udp) : socket_(::socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int failed = -1;
    const int first = (udp ? 26'000 : 20'000) + ::getpid() % 5'000;  // two that live at once are not the same
    for (port_ = static_cast<std::uint16_t>(first); failed != 0 && port_ < first + 1'000;) {
      name.sin_port = htons(++port_);
      failed = ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name));
    }
    EXPECT_EQ(failed, 0);
    if (!udp) {
      EXPECT_EQ(::listen(socket_.get(), 1), 0);
    }
  }
  std::uint16_t port() const { return port_; }
  void release() { (void)socket_.close_now(); }

 private:
  Descriptor socket_;
  std::uint16_t port_ = 0;
};

PortState all_free() {
  PortState state;
  state.api.port = 8080;
  state.link.port = state.beacon.port = 7433;
  state.rpc = {{.port = 50052}, {.port = 50055}};
  return state;
}

TEST(PortChecks, FreePorts) {
  for (const auto check : {api_port, link_port, rpc_ports})
    EXPECT_EQ(check(all_free()).status, Status::ok) << check(all_free()).found;
}

TEST(PortChecks, APortThatIsReallyTaken) {
  const TakenPort tcp(false);
  const TakenPort udp(true);
  const PortState state = read_port_state("/", {.api = tcp.port(), .link = udp.port(), .rpc = {tcp.port()}});
  EXPECT_EQ(api_port(state).status, Status::problem);
  EXPECT_THAT(api_port(state).found, HasSubstr(fmt::format("TCP port {}", tcp.port())));
  EXPECT_EQ(link_port(state).status, Status::problem);
  EXPECT_THAT(link_port(state).found, HasSubstr(fmt::format("UDP port {}", udp.port())));
  EXPECT_EQ(rpc_ports(state).status, Status::note);
  EXPECT_THAT(rpc_ports(state).found, HasSubstr(fmt::format("{}", tcp.port())));
  if (fs::exists("/proc/net/tcp")) {  // Android hides it
    EXPECT_THAT(api_port(state).found, HasSubstr(fmt::format("(process {})", ::getpid())));
    EXPECT_THAT(api_port(state).cure, Contains(HasSubstr(fmt::format("kill {} ", ::getpid()))));
  }
}

TEST(PortChecks, APortThatIsFreeAgain) {
  TakenPort taken(false);
  taken.release();
  const PortState state = read_port_state("/", {.api = taken.port(), .link = taken.port(), .rpc = {}});
  EXPECT_FALSE(state.api.taken);
  EXPECT_FALSE(state.link.taken);
}

TEST(PortChecks, OurOwnNodeIsNoProblem) {
  PortState state = all_free();
  const Error taken{Code::unavailable, "cannot be used: Address already in use", ""};
  state.api = {8080, false, taken, "caravan", "caravan (process 7)"};
  state.link = {7433, false, taken, "caravan", "caravan (process 7)"};
  state.beacon = {7433, true, taken, "caravan", "caravan (process 7)"};
  EXPECT_EQ(api_port(state).status, Status::ok);
  EXPECT_EQ(link_port(state).status, Status::ok);
  state.beacon.program = "other";
  EXPECT_EQ(link_port(state).status, Status::problem);
}

TEST(PortChecks, AnOwnerThatIsHidden) {
  PortState state = all_free();
  state.api.taken = Error{Code::unavailable, "cannot be used: Address already in use", ""};
  EXPECT_THAT(api_port(state).found, HasSubstr("hidden"));
  EXPECT_THAT(api_port(state).cure, Contains(HasSubstr("caravan up --port 8081")));
}

}  // namespace
}  // namespace caravan::doctor
