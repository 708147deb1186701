// The RPC server here is a stand-in: a shell script, or this test program in another role.
#include "engine/rpc_server.h"

#include <csignal>
#include <cstdlib>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

#include "engine/testing.h"

namespace caravan::engine {
namespace {

using asio::ip::tcp;
using testing::HasSubstr;
using testing_support::recorded;
using testing_support::run;
using testing_support::write_script;
using namespace std::chrono_literals;
using namespace std::string_literals;

/// Run by the script below in a process of its own: answers hellos on a port until it is killed.
TEST(RpcServer, DISABLED_StandIn) {
  asio::io_context loop;
  const int port = std::stoi(environment("CARAVAN_TEST_PORT").value_or("0"));
  tcp::acceptor acceptor(loop,
                         tcp::endpoint(asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)));
  for (;;) {
    tcp::socket socket = acceptor.accept();
    std::puts("Accepted client connection");
    std::fflush(stdout);
    std::array<char, 33> hello{};
    boost::system::error_code failure;
    asio::read(socket, asio::buffer(hello), failure);
    std::string reply = "\x1c\0\0\0\0\0\0\0\x07"s;
    reply.resize(36);
    asio::write(socket, asio::buffer(reply), failure);
  }
}

class RpcServerTest : public testing::Test {
 protected:
  static constexpr const char* kAnswer =
      "while [ \"$1\" != --port ]; do shift; done\n"
      "CARAVAN_TEST_PORT=$2 exec \"$CARAVAN_TEST_SELF\" --gtest_filter=RpcServer.DISABLED_StandIn "
      "--gtest_also_run_disabled_tests\n";

  RpcServerTest() {
    ::setenv("CARAVAN_TEST_SELF", fs::read_symlink("/proc/self/exe").c_str(), 1);
    spec_.files = {folder_.path() / "llama-server", folder_.path() / "ggml-rpc-server", "--engine"};
    spec_.flags = EngineFlags::from_help(recorded("ggml-rpc-server_help"));
    spec_.rank = 1;
    spec_.log = folder_.path() / "engine.log";
  }

  /// Starts a server that is `script`.
  void start(const std::string& script, std::chrono::milliseconds timeout = 15s) {
    write_script(spec_.files.rpc_server, script);
    run(loop_, start_now(timeout));
  }
  asio::awaitable<void> start_now(std::chrono::milliseconds timeout) {
    auto started = co_await RpcServer::start(loop_.get_executor(), spec_, timeout);
    if (started.ok()) {
      server_ = std::move(*started);
    } else {
      error_ = started.error();
    }
  }
  ExitReport exited() {
    ExitReport report;
    run(loop_, wait_for_exit(report));
    return report;
  }
  asio::awaitable<void> wait_for_exit(ExitReport& report) { report = co_await server_->exited(); }
  asio::awaitable<void> stop() { co_await server_->stop(10s); }

  TemporaryFolder folder_ = TemporaryFolder::make("caravan-rpc-test").value();
  asio::io_context loop_;
  RpcServerSpec spec_;
  std::unique_ptr<RpcServer> server_;
  Error error_;
};

TEST_F(RpcServerTest, IsUpWhenItAnswers) {
  start(kAnswer);
  ASSERT_TRUE(server_) << error_.message;
  EXPECT_EQ(server_->version(), (RpcVersion{7, 0, 0}));
  EXPECT_EQ(server_->address().host, "127.0.0.1");
  EXPECT_GT(server_->address().port, 1024);
  run(loop_, stop());
  EXPECT_EQ(exited().cause, ExitCause::asked);
}

TEST_F(RpcServerTest, ReportsThatItWasKilled) {
  start(kAnswer);
  ASSERT_TRUE(server_) << error_.message;
  ASSERT_EQ(::kill(server_->pid(), SIGKILL), 0);
  EXPECT_EQ(exited().cause, ExitCause::killed);
}

TEST_F(RpcServerTest, TakesAnotherPortWhenItsOwnIsTaken) {
  start("[ -e " + (folder_.path() / "tried").string() + " ] || { : > " + (folder_.path() / "tried").string() +
        "; echo Failed to create server socket; exit 0; }\n" + kAnswer);
  ASSERT_TRUE(server_) << error_.message;
}

TEST_F(RpcServerTest, IsNotMistakenForAnotherProgramThatAnswersOnItsPort) {
  // The first time, a server that is not ours has come first: it answers, and ours ends a little later.
  start("[ -e " + (folder_.path() / "tried").string() + " ] || { : > " + (folder_.path() / "tried").string() +
        "; while [ \"$1\" != --port ]; do shift; done\n"
        "CARAVAN_TEST_PORT=$2 \"$CARAVAN_TEST_SELF\" --gtest_filter=RpcServer.DISABLED_StandIn "
        "--gtest_also_run_disabled_tests > " +
        (folder_.path() / "other").string() + " &\n until [ -s " + (folder_.path() / "other").string() +
        " ]; do :; done; until grep -q Accepted " + (folder_.path() / "other").string() +
        "; do :; done; echo Failed to create server socket; exit 0; }\n" + kAnswer);
  ASSERT_TRUE(server_) << error_.message;
  EXPECT_TRUE(fs::exists(folder_.path() / "tried"));
  run(loop_, stop());
  EXPECT_EQ(exited().cause, ExitCause::asked) << "the second one is the one that serves";
}

TEST_F(RpcServerTest, GivesUpWhenEveryPortIsTaken) {
  start("echo attempt >> " + (folder_.path() / "attempts").string() +
        "; echo Failed to create server socket; exit 0\n");
  EXPECT_THAT(error_.message, HasSubstr("found its port taken"));
  EXPECT_EQ(*read_file(folder_.path() / "attempts", Bytes{1000}), "attempt\nattempt\nattempt\nattempt\n");
}

TEST_F(RpcServerTest, EndsBeforeItIsUp) {
  start("echo 'error: unknown argument: --device'; exit 0\n");
  EXPECT_EQ(error_.code, Code::incompatible);
  EXPECT_THAT(error_.message, HasSubstr("unknown argument: --device"));
  EXPECT_THAT(*read_file(spec_.log, Bytes{1000}), HasSubstr("unknown argument"))
      << "its output is in the log";
}

TEST_F(RpcServerTest, NeverAnswers) {
  start("exec sleep 1000\n", 100ms);
  EXPECT_THAT(error_.message, HasSubstr("does not answer in time"));
}

TEST_F(RpcServerTest, IsMissing) {
  run(loop_, start_now(15s));
  EXPECT_EQ(error_.code, Code::not_found);
}

}  // namespace
}  // namespace caravan::engine
