#include "cli/trace.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "app/control_call.h"
#include "app/local_plan.h"
#include "app/node.h"
#include "app/node_client.h"
#include "app/trace_client.h"
#include "cli/chat_api.h"
#include "cli/cluster_command.h"
#include "cli/print.h"
#include "cli/trace_report.h"
#include "engine/http_client.h"
#include "trace/chrome.h"

namespace caravan::cli {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr const char* kExamples = R"(Examples:
  caravan trace                        32 tokens: where their time goes, measured and as the plan has it
  caravan trace --tokens 200           more of them
  caravan trace --seconds 5            what is answered in that time
  caravan trace --ask                  ask the model something at once, and do not wait for others to do so
  caravan trace --chrome trace.json    also as a file for https://ui.perfetto.dev or chrome://tracing
  caravan trace --json                 the table as one line of JSON

Run it on the device that runs llama-server, while the model is served through the fabric. When nobody asks the
model anything for 2 s, a short request is made; --no-ask waits instead.)";

constexpr int kUsualTokens = 32;
constexpr int kUsualSeconds = 10;
constexpr int kExtraTokens = 8;  // the first and the last of an answer are often cut by the trace's ends
constexpr std::chrono::seconds kQuiet{2};
constexpr std::chrono::seconds kAnswerTime{120};
constexpr std::size_t kMostReply = std::size_t{4} << 20U;
constexpr std::size_t kUsualColumns = 80;

struct Arguments {
  int tokens = 0;
  int seconds = 0;
  bool ask = false;
  bool no_ask = false;
  bool json = false;
  std::string chrome;
  std::string node;
};

/// One run of the command.
class TraceCommand {
 public:
  explicit TraceCommand(const Arguments& arguments)
      : arguments_(arguments),
        seconds_(arguments.seconds > 0  ? arguments.seconds
                 : arguments.tokens > 0 ? trace::kMostSeconds
                                        : kUsualSeconds),
        tokens_(arguments.tokens > 0    ? arguments.tokens
                : arguments.seconds > 0 ? trace::kMostTokens
                                        : kUsualTokens),
        socket_(
            app::control_socket(arguments.node.empty() ? this_nodes_folder() : fs::path(arguments.node))) {}

  asio::awaitable<Result<app::Trace>> run();
  int report(const Result<app::Trace>& trace);

 private:
  asio::awaitable<void> ask_if_quiet();
  asio::awaitable<Result<void>> ask_model();
  void on_progress(int tokens, bool begun);
  int show(const app::Trace& trace);

  const Arguments& arguments_;
  int seconds_;
  int tokens_;
  fs::path socket_;
  bool begun_ = false;  ///< somebody has asked the model something
  TimePoint began_ = Clock::now();
  ProgressLine progress_{stderr};
};

void TraceCommand::on_progress(int tokens, bool begun) {
  begun_ = begun;
  const auto passed = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - began_);
  if (passed >= kQuiet)
    progress_.update(fmt::format("trace  {} of {} tokens  {} s", tokens, tokens_, passed.count()));
}

/// A short request of our own, so that there is something to see. Its answer does not matter.
asio::awaitable<Result<void>> TraceCommand::ask_model() {
  const app::NodeClient node(socket_);
  const auto state = co_await node.state();
  if (!state) co_return state.error();
  const auto address = parse_api_url(state->api);
  if (!address) co_return address.error();
  const Json body{
      {"model", state->model},
      {"messages", {{{"role", "user"}, {"content", "Count from one to one hundred, in words."}}}},
      {"max_tokens", tokens_ + kExtraTokens},
      {"ignore_eos", true},
      // Greedy, small models repeat themselves: guessed tokens would be checked, several in a step.
      {"temperature", 1},
      {"seed", 1}};
  engine::HttpRequest request = app::request_for("POST", "/v1/chat/completions", dump_json(body));
  request.headers.emplace_back("Content-Type", "application/json");
  engine::HttpAddress there = *address;
  const auto reply =
      co_await engine::http_call(std::move(there), std::move(request), kAnswerTime, kMostReply);
  if (!reply) co_return reply.error();
  const auto answer = app::json_of(*reply, kMostReply);
  if (!answer) co_return answer.error();
  co_return Result<void>{};
}

/// Never ends by itself: the trace does.
asio::awaitable<void> TraceCommand::ask_if_quiet() {
  const std::chrono::seconds patience = arguments_.ask ? std::chrono::seconds(0) : kQuiet;
  asio::steady_timer timer(co_await asio::this_coro::executor, patience);
  const auto [over] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (over) co_return;  // the trace has ended before
  if (!begun_ && !arguments_.no_ask) {
    if (!arguments_.ask) {
      progress_.clear();
      fmt::print(stderr, "nobody asks the model anything: a short request is made\n");
    }
    const auto asked = co_await ask_model();
    if (!asked && !begun_) {
      progress_.clear();
      fmt::print(stderr, "the request failed: {}\n", asked.error().message);
    }
  }
  timer.expires_at(asio::steady_timer::time_point::max());
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<Result<app::Trace>> TraceCommand::run() {
  app::TraceProgress told = [this](int tokens, bool begun) { on_progress(tokens, begun); };
  auto trace = app::ask_for_trace(socket_, tokens_, seconds_, std::move(told));
  auto outcome = co_await (std::move(trace) || ask_if_quiet());
  if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
  co_return Error{Code::bug, "the trace has no end", ""};
}

int TraceCommand::show(const app::Trace& trace) {
  const trace::Timeline timeline = trace::lay_out(trace.recording);
  // A node of `caravan demo` has no cluster and no view; what was planned is left in its folder.
  const auto view = run_interruptible(app::ClusterClient(socket_).view());
  const TracePlan plan =
      trace_plan(view ? *view : app::plan_left(socket_.parent_path()), trace.model, timeline);
  if (!arguments_.chrome.empty()) {
    const std::string text = dump_json(trace::chrome_trace(timeline, plan.names)) + "\n";
    constexpr unsigned kMode = 0644;
    if (auto written = write_file_atomically(arguments_.chrome, text, kMode); !written)
      return print_error(with_context(written.error(), arguments_.chrome), arguments_.json);
  }
  if (arguments_.json) {
    fmt::print("{}\n", dump_json(trace_json(timeline, plan, trace.model)));
    return 0;
  }
  const std::size_t columns = columns_of(stdout);
  for (const std::string& line :
       trace_lines(timeline, plan, trace.model, columns > 0 ? columns - 1 : kUsualColumns))
    fmt::print("{}\n", line);
  if (!arguments_.chrome.empty())
    fmt::print("  {} is for https://ui.perfetto.dev or chrome://tracing\n", arguments_.chrome);
  return 0;
}

int TraceCommand::report(const Result<app::Trace>& trace) {
  progress_.clear();
  return trace ? show(*trace) : print_error(trace.error(), arguments_.json);
}

int trace_now(const Arguments& arguments) {
  TraceCommand command(arguments);
  return command.report(run_interruptible(command.run()));
}

}  // namespace

void add_trace(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("trace", "Where the time of a token goes: compute, wait, wire");
  command->footer(kExamples);
  command->add_option("--tokens", arguments->tokens, "End after so many (usual: 32)")
      ->check(CLI::Range(1, trace::kMostTokens));
  command->add_option("--seconds", arguments->seconds, "End after so long (usual: 10, with --tokens 60)")
      ->check(CLI::Range(1, trace::kMostSeconds));
  auto* ask = command->add_flag("--ask", arguments->ask, "Ask the model something at once");
  command->add_flag("--no-ask", arguments->no_ask, "Never do so")->excludes(ask);
  command->add_option("--chrome", arguments->chrome, "Also write Chrome trace JSON to this file");
  command->add_option("--node", arguments->node,
                      "State folder of another node on this machine, as `caravan demo` has");
  command->add_flag("--json", arguments->json, "Print one line of JSON");
  command->callback([arguments, run]() { run([arguments]() { return trace_now(*arguments); }); });
}

}  // namespace caravan::cli
