#include "app/control_api.h"

#include <vector>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "app/node.h"
#include "app/node_client.h"
#include "base/files.h"
#include "base/testing.h"

namespace caravan::app {
namespace {

namespace asio = boost::asio;

/// A control API on a real Unix socket in front of a made-up node, and a client of it.
struct Bench {
  asio::io_context loop;
  TemporaryFolder folder = *TemporaryFolder::make("caravan-test");
  engine::Change change{loop.get_executor()};
  cluster::NodeState state;
  std::vector<cluster::Assignment> taken;
  std::optional<Error> refusal;
  bool stopped = false;
  ControlPort port{[this]() { return state; },
                   [this](cluster::Assignment assignment) -> Result<void> {
                     if (refusal) return *refusal;
                     taken.push_back(std::move(assignment));
                     return {};
                   },
                   [this]() { stopped = true; }, &change};
  std::unique_ptr<gateway::HttpServer> server;
  NodeClient client{control_socket(folder.path())};

  Bench() {
    state.device = "phone-2";
    auto listening =
        gateway::HttpServer::listen(loop.get_executor(), engine::UnixAddress{control_socket(folder.path())},
                                    {}, [this](gateway::Request request, gateway::Responder& responder) {
                                      return handle_control(port, std::move(request), responder);
                                    });
    EXPECT_TRUE(listening.ok());
    server = std::move(*listening);
  }
};

void run(asio::awaitable<void> (*body)(Bench&)) { run_to_end(body, "the control API hangs"); }

TEST(ControlApi, TellsTheState) {
  run([](Bench& bench) -> asio::awaitable<void> {
    const auto state = co_await bench.client.state();
    EXPECT_TRUE(state.ok());
    EXPECT_EQ(state.ok() ? state->device : "", "phone-2");
  });
}

TEST(ControlApi, TakesAssignmentsAndPassesOnRefusals) {
  run([](Bench& bench) -> asio::awaitable<void> {
    cluster::Assignment assignment;
    assignment.order = {3, 4};
    assignment.role = cluster::Role::worker;
    assignment.rank = 2;
    const auto accepted = co_await bench.client.assign(assignment);
    EXPECT_TRUE(accepted.ok());
    EXPECT_EQ(bench.taken.size(), 1U);
    EXPECT_EQ(bench.taken.at(0).order, (cluster::Order{3, 4}));
    bench.refusal = Error{Code::incompatible, "an older order", "a hint"};
    const auto refused = co_await bench.client.assign(assignment);
    EXPECT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::incompatible);
    EXPECT_EQ(refused.error().hint, "a hint");
  });
}

TEST(ControlApi, StreamsEveryChangeUntilTheClientHasSeenEnough) {
  run([](Bench& bench) -> asio::awaitable<void> {
    std::vector<double> seen;
    std::function<void(cluster::NodeState)> take = [&](const cluster::NodeState& state) {
      seen.push_back(state.progress);
      if (seen.size() == 5) bench.server.reset();
      bench.state.progress += 0.125;
      bench.change.notify();
    };
    const Error ended = co_await bench.client.watch(std::move(take));
    EXPECT_EQ(ended.code, Code::disconnected);
    EXPECT_EQ(seen, (std::vector<double>{0, 0.125, 0.25, 0.375, 0.5}));
  });
}

asio::awaitable<unsigned> status_of(Bench& bench, std::string method, std::string target, std::string body) {
  engine::HttpAddress address = engine::UnixAddress{control_socket(bench.folder.path())};
  engine::HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  const auto reply =
      co_await engine::http_call(std::move(address), std::move(request), std::chrono::seconds(5), 1U << 20U);
  co_return reply.ok() ? reply->status : 0;
}

TEST(ControlApi, RefusesWhatItDoesNotKnow) {
  run([](Bench& bench) -> asio::awaitable<void> {
    const unsigned unknown_path = co_await status_of(bench, "GET", "/v1/nonsense", "");
    EXPECT_EQ(unknown_path, 404U);
    const unsigned no_json = co_await status_of(bench, "PUT", "/v1/assignment", "{");
    EXPECT_EQ(no_json, 400U);
    const unsigned wrong_field =
        co_await status_of(bench, "PUT", "/v1/assignment", R"({"version":1,"role":"boss"})");
    EXPECT_EQ(wrong_field, 400U);
    const unsigned newer = co_await status_of(bench, "PUT", "/v1/assignment", R"({"version":99})");
    EXPECT_EQ(newer, 409U);
    EXPECT_TRUE(bench.taken.empty());
    EXPECT_FALSE(bench.stopped);
    const unsigned stop = co_await status_of(bench, "POST", "/v1/stop", "");
    EXPECT_EQ(stop, 202U);
    EXPECT_TRUE(bench.stopped);
  });
}

}  // namespace
}  // namespace caravan::app
