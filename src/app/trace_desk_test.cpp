#include "app/trace_desk.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/control_api.h"
#include "app/node.h"
#include "app/trace_client.h"
#include "base/testing.h"
#include "trace/testing.h"

namespace caravan::app {
namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using testing::HasSubstr;

cluster::Assignment master() {
  cluster::Assignment assignment;
  assignment.order = {2, 3};
  assignment.role = cluster::Role::master;
  assignment.data_path = cluster::DataPath::fabric;
  assignment.model_name = "m";
  assignment.parallel = 2;
  return assignment;
}

cluster::NodeState ready() {
  cluster::NodeState state;
  state.phase = cluster::Phase::ready;
  return state;
}

TEST(TraceTarget, IsTheFabricsMaster) {
  const auto assignment = master();
  const auto target = trace_target(ready(), &assignment, "/state", Json());
  ASSERT_TRUE(target);
  EXPECT_EQ(target->folder, "/state/trace");
  EXPECT_EQ(target->order, (cluster::Order{2, 3}));
  EXPECT_EQ(target->model, "m");
  EXPECT_EQ(target->parallel, 2);
}

TEST(TraceTarget, SaysWhyThereIsNone) {
  auto assignment = master();
  const Json view{
      {"devices", {{{"name", "phone"}, {"role", "master"}}, {{"name", "tablet"}, {"role", "worker"}}}}};
  auto none = trace_target(ready(), nullptr, "/state", view);
  EXPECT_EQ(none.error().code, Code::unavailable);
  EXPECT_EQ(none.error().hint, "run `caravan trace` on phone");
  EXPECT_THAT(trace_target(ready(), nullptr, "/state", Json()).error().hint, HasSubstr("caravan serve"));
  cluster::NodeState loading;
  loading.phase = cluster::Phase::loading;
  EXPECT_EQ(trace_target(loading, &assignment, "/state", Json()).error().message, "m is not ready: loading");
  assignment.data_path = cluster::DataPath::rpc;
  none = trace_target(ready(), &assignment, "/state", Json());
  EXPECT_EQ(none.error().code, Code::incompatible);
  EXPECT_THAT(none.error().message, HasSubstr("RPC"));
  EXPECT_THAT(none.error().hint, HasSubstr("--data-path fabric"));
  assignment.role = cluster::Role::worker;
  EXPECT_EQ(trace_target(ready(), &assignment, "/state", view).error().hint, "run `caravan trace` on phone");
}

/// A node's control API on a real socket, and somebody who does the module's part in the folder.
struct Bench {
  asio::io_context loop;
  TemporaryFolder folder = *TemporaryFolder::make("caravan-test");
  engine::Change change{loop.get_executor()};
  Result<TraceTarget> target = TraceTarget{trace_folder(folder.path()), {1, 1}, "m", 3};
  std::string traced;  ///< the model, and a question mark where the recording is not the module's
  TraceDesk desk{[this]() { return target; },
                 [this](const TraceTarget& of, const std::string& recording) {
                   traced = of.model +
                            (recording == dump_json(to_json(trace::tokens_of_two_stages(7))) ? "" : "?");
                 }};
  ControlPort port{[]() { return cluster::NodeState(); },
                   [](const cluster::Assignment&) { return Result<void>(); },
                   []() {},
                   &change,
                   nullptr,
                   &desk};
  std::unique_ptr<gateway::HttpServer> server;
  int told = -1;  ///< tokens, at last

  Bench() {
    EXPECT_TRUE(make_empty_trace_folder(folder.path()));
    auto listening =
        gateway::HttpServer::listen(loop.get_executor(), engine::UnixAddress{control_socket(folder.path())},
                                    {}, [this](gateway::Request request, gateway::Responder& responder) {
                                      return handle_control(port, std::move(request), responder);
                                    });
    EXPECT_TRUE(listening.ok());
    server = std::move(*listening);
  }
  fs::path file(const char* name) const { return trace_folder(folder.path()) / name; }
  void write(const char* name, const Json& json) const {
    EXPECT_TRUE(write_file_atomically(file(name), dump_json(json)));
  }
  asio::awaitable<Result<Trace>> ask(int tokens, int seconds) {
    TraceProgress on_progress = [this](int so_far, bool begun) { told = begun ? so_far : -1; };
    return ask_for_trace(control_socket(folder.path()), tokens, seconds, std::move(on_progress));
  }
  static asio::awaitable<void> moment() {
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(5));
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  /// The request, once it is there.
  asio::awaitable<trace::Request> request() const {
    for (;;) {
      const auto text = read_file(file(trace::kRequestFile), mebibytes(1));
      if (text) co_return *trace::request_from_json(*parse_json(*text, 4096));
      co_await moment();
    }
  }
};

void run(asio::awaitable<void> (*body)(Bench&)) { run_to_end(body, "the trace hangs"); }

asio::awaitable<void> record(Bench& bench) {
  const auto request = co_await bench.request();
  EXPECT_EQ(request.tokens, 7);
  EXPECT_EQ(request.seconds, 20);
  EXPECT_EQ(request.decode_rows, 3) << "sequences at once";
  bench.write(trace::kProgressFile, to_json(trace::Progress{"another", 99, true}));
  bench.write(trace::kProgressFile, to_json(trace::Progress{request.id, 4, false}));
  while (bench.told != 4) co_await Bench::moment();
  bench.write(trace::kRecordingFile, to_json(trace::tokens_of_two_stages(7)));
  bench.write(trace::kProgressFile, to_json(trace::Progress{request.id, 7, true}));
}

TEST(TraceDesk, PassesTheModulesRecordingOn) {
  run([](Bench& bench) -> asio::awaitable<void> {
    auto asked = bench.ask(7, 20);
    const auto trace = co_await (std::move(asked) && record(bench));
    EXPECT_TRUE(trace.ok()) << (trace ? "" : trace.error().message);
    if (!trace) co_return;
    EXPECT_EQ(trace->model, "m");
    EXPECT_EQ(trace->recording, trace::tokens_of_two_stages(7));
    EXPECT_EQ(bench.traced, "m");
    while (fs::exists(bench.file(trace::kRecordingFile))) co_await Bench::moment();
    EXPECT_FALSE(fs::exists(bench.file(trace::kRequestFile)));
    EXPECT_FALSE(fs::exists(bench.file(trace::kProgressFile)));
  });
}

asio::awaitable<void> end_engine(Bench& bench) {
  (void)co_await bench.request();
  bench.target = Error{Code::unavailable, "gone", ""};
}

TEST(TraceDesk, AnEngineThatEndsEndsTheTrace) {
  run([](Bench& bench) -> asio::awaitable<void> {
    auto asked = bench.ask(7, 20);
    const auto trace = co_await (std::move(asked) && end_engine(bench));
    EXPECT_FALSE(trace.ok());
    EXPECT_EQ(trace.error().code, Code::disconnected);
    EXPECT_THAT(trace.error().message, HasSubstr("engine has ended"));
    EXPECT_EQ(bench.traced, "");
  });
}

asio::awaitable<void> ask_again(Bench& bench) {
  (void)co_await bench.request();
  auto second = bench.ask(7, 20);
  const auto refused = co_await std::move(second);
  EXPECT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message, "another trace is running");
  bench.target = Error{Code::unavailable, "gone", ""};
}

TEST(TraceDesk, OneAtATime) {
  run([](Bench& bench) -> asio::awaitable<void> {
    auto asked = bench.ask(7, 20);
    const auto trace = co_await (std::move(asked) && ask_again(bench));
    EXPECT_EQ(trace.error().code, Code::disconnected);
  });
}

TEST(TraceDesk, WhoGoesEndsTheTrace) {
  run([](Bench& bench) -> asio::awaitable<void> {
    auto asked = bench.ask(7, 20);
    auto seen = bench.request();
    const auto first = co_await (std::move(asked) || std::move(seen));
    EXPECT_EQ(first.index(), 1U);
    while (fs::exists(bench.file(trace::kRequestFile))) co_await Bench::moment();
  });
}

TEST(TraceDesk, SilenceAndWrongNumbersAreErrors) {
  run([](Bench& bench) -> asio::awaitable<void> {
    auto quiet = bench.ask(7, 1);
    const auto nothing = co_await std::move(quiet);
    EXPECT_EQ(nothing.error().code, Code::unavailable);
    EXPECT_THAT(nothing.error().message, HasSubstr("answered nothing in 1 s"));
    auto wrong = bench.ask(0, 1);
    const auto refused = co_await std::move(wrong);
    EXPECT_EQ(refused.error().code, Code::invalid);
    bench.target = Error{Code::incompatible, "through RPC", "a hint"};
    auto rpc = bench.ask(7, 1);
    const auto none = co_await std::move(rpc);
    EXPECT_EQ(none.error().message, "through RPC");
    EXPECT_EQ(none.error().hint, "a hint");
  });
}

}  // namespace
}  // namespace caravan::app
