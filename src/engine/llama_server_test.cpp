// llama-server here is a stand-in: a shell script that writes what a real one wrote.
#include "engine/llama_server.h"

#include <csignal>
#include <numeric>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

#include "engine/testing.h"

namespace caravan::engine {
namespace {

using asio::ip::tcp;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing_support::recorded;
using testing_support::run;
using testing_support::write_script;
using namespace std::chrono_literals;
constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);

class LlamaServerTest : public testing::Test {
 protected:
  LlamaServerTest() {
    engine_.files = {folder_.path() / "llama-server", folder_.path() / "ggml-rpc-server", "--engine"};
    engine_.server_flags = EngineFlags::from_help(recorded("llama-server_help"));
    arguments_.model = "/model.gguf";
    arguments_.workers = {{"127.0.0.1", 50082}, {"127.0.0.1", 50083}};  // as in the recorded log
    arguments_.layers = {10, 10, 10};
  }

  /// Replies to each GET /health with the next of `statuses`, then with the last.
  asio::awaitable<void> serve_health(std::vector<std::string> statuses) {
    for (std::size_t i = 0;; i = std::min(i + 1, statuses.size() - 1)) {
      tcp::socket socket = co_await health_.async_accept(asio::use_awaitable);
      std::string request;
      co_await asio::async_read_until(socket, asio::dynamic_buffer(request), "\r\n\r\n", kUseResult);
      const std::string reply =
          "HTTP/1.1 " + statuses[i] + "\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
      co_await asio::async_write(socket, asio::buffer(reply), kUseResult);
      health_checks_.push_back(request.substr(0, request.find('\r')));
    }
  }

  /// Starts a server that does `first`, writes the recorded output with our address in place of its own, and
  /// then does `last`.
  void start(const std::string& record, const std::string& last, const std::string& first = "") {
    std::string output;
    for (const std::string& line : split(recorded(record), '\n')) {
      const std::size_t place = line.find("listening on http://");
      if (place == std::string::npos) {
        output += line + "\n";
      } else {
        output += line.substr(0, place) +
                  "listening on http://127.0.0.1:" + std::to_string(health_.local_endpoint().port()) + "\n";
      }
    }
    ASSERT_TRUE(write_file_atomically(folder_.path() / "output", output).ok());
    write_script(engine_.files.llama_server,
                 first + "\ncat " + (folder_.path() / "output").string() + "\n" + last + "\n");
    auto started = LlamaServer::start(loop_.get_executor(), engine_, arguments_, log_,
                                      [this](LoadStep step) { steps_.push_back(step); });
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(*started);
  }

  Result<TcpAddress> ready() {
    Result<TcpAddress> result = Error{};
    run(loop_, wait_until_ready(result));
    return result;
  }
  ExitReport exited() {
    ExitReport report;
    run(loop_, wait_for_exit(report));
    return report;
  }
  asio::awaitable<void> wait_until_ready(Result<TcpAddress>& result) { result = co_await server_->ready(); }
  asio::awaitable<void> wait_for_exit(ExitReport& report) { report = co_await server_->exited(); }
  asio::awaitable<void> stop() { co_await server_->stop(10s); }

  TemporaryFolder folder_ = TemporaryFolder::make("caravan-llama-test").value();
  fs::path log_ = folder_.path() / "engine.log";
  asio::io_context loop_;
  tcp::acceptor health_{loop_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::vector<std::string> health_checks_;
  EngineFacts engine_;
  MasterArguments arguments_;
  std::vector<LoadStep> steps_;
  std::unique_ptr<LlamaServer> server_;
};

std::vector<int> layers_from(int first, int count) {
  std::vector<int> layers(static_cast<std::size_t>(count));
  std::iota(layers.begin(), layers.end(), first);
  return layers;
}

TEST_F(LlamaServerTest, IsReadyWhenItsHealthIsGoodAndTellsWhatIsWhere) {
  asio::co_spawn(loop_, serve_health({"503 Service Unavailable", "200 OK"}), asio::detached);
  start("loaded", "exec sleep 1000");
  const auto address = ready();
  ASSERT_TRUE(address.ok()) << address.error().message;
  EXPECT_EQ(address->port, health_.local_endpoint().port());
  EXPECT_THAT(health_checks_, ElementsAre("GET /health HTTP/1.1", "GET /health HTTP/1.1"));
  EXPECT_EQ(steps_.size(), 5U);

  const auto ranks = server_->observed();
  ASSERT_EQ(ranks.size(), 3U);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(ranks[static_cast<std::size_t>(rank)].rank, rank);
    EXPECT_EQ(ranks[static_cast<std::size_t>(rank)].layers, layers_from(rank * 10, 10));
  }
  EXPECT_EQ(format_bytes(ranks[0].weights), "49.8 MiB");
  EXPECT_EQ(format_bytes(ranks[2].weights), "21.1 MiB");
  EXPECT_EQ(format_bytes(ranks[1].kv_cache), "3.75 MiB");
}

TEST_F(LlamaServerTest, SaysWhyItDidNotGetReady) {
  start("model_truncated", "exit 1");
  const auto address = ready();
  ASSERT_FALSE(address.ok());
  EXPECT_EQ(address.error().code, Code::invalid);
  EXPECT_THAT(address.error().message, HasSubstr("model is corrupted or incomplete"));
  EXPECT_EQ(exited().cause, ExitCause::model_unreadable);
}

TEST_F(LlamaServerTest, OnceItServesWhatPeopleSayIsNotKept) {
  asio::co_spawn(loop_, serve_health({"200 OK"}), asio::detached);
  start("loaded", "while :; do sleep 0.01; done",
        "trap 'echo 0.09.1.1 D a secret; echo a secret; echo 0.09.1.1 W a warning; exit 3' USR1");
  ASSERT_TRUE(ready().ok());
  ASSERT_EQ(::kill(server_->pid(), SIGUSR1), 0);
  const ExitReport report = exited();
  EXPECT_EQ(report.cause, ExitCause::exited);
  EXPECT_EQ(report.status, (ExitStatus{3, 0}));
  const std::string log = *read_file(log_, mebibytes(1));
  EXPECT_THAT(log, HasSubstr("layer  10 assigned to device RPC0"));
  EXPECT_THAT(log, HasSubstr("a warning"));
  for (const std::string& text : {log, report.output, report.error.message}) {
    EXPECT_THAT(text, Not(HasSubstr("secret")));
  }
}

TEST_F(LlamaServerTest, StopIsNoFailure) {
  start("loaded", "exec sleep 1000");
  run(loop_, stop());
  EXPECT_EQ(exited().cause, ExitCause::asked);
  EXPECT_FALSE(ready().ok());
}

TEST_F(LlamaServerTest, DestructionKillsItAndWhoWaitsIsTold) {
  start("loaded", "exec sleep 1000");
  ExitReport report;
  asio::co_spawn(loop_, wait_for_exit(report), asio::detached);
  loop_.restart();
  loop_.poll();
  const pid_t pid = server_->pid();
  server_.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
  loop_.restart();
  loop_.run_for(testing_support::kDeadline);
  EXPECT_EQ(report.status.signal, SIGKILL);
}

TEST_F(LlamaServerTest, AnImpossiblePlanIsNotStarted) {
  arguments_.layers = {30};
  const auto started = LlamaServer::start(loop_.get_executor(), engine_, arguments_, log_, {});
  EXPECT_FALSE(started.ok());
}

}  // namespace
}  // namespace caravan::engine
