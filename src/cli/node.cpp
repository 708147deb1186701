#include "cli/node.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "app/node.h"
#include "base/json.h"
#include "cli/print.h"
#include "device/memory.h"

namespace caravan::cli {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr int kLifelineDescriptor = 3;  // where engine::Process puts it
constexpr const char* kExamples = R"(Examples:
  caravan node                          this device's node, state in ~/.caravan/node
  caravan node --memory 2G --port 8081  give the engine 2 GiB, serve the API on port 8081

The node waits for a controller; `caravan demo` starts three of them and is their controller.)";

struct Arguments {
  std::string device = "this-device";
  std::string state;
  std::string memory;
  std::string engine;
  std::uint16_t port = 8080;
  bool ephemeral = false;
  bool announce = false;
  bool lifeline = false;
};

Result<app::NodeOptions> options_from(const Arguments& arguments) {
  app::NodeOptions options;
  options.device = arguments.device;
  options.state_folder = arguments.state.empty() ? caravan_home() / "node" : fs::path(arguments.state);
  const auto memory = arguments.memory.empty() ? device::available_memory() : parse_bytes(arguments.memory);
  if (!memory) return with_context(memory.error(), "--memory");
  options.memory = *memory;
  options.api = {"127.0.0.1", arguments.port};
  options.engine = arguments.engine;
  options.ephemeral = arguments.ephemeral;
  return options;
}

/// Completes when a signal asks to end.
asio::awaitable<void> asked_to_end() {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM, SIGHUP);
  co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
}

/// Completes when whoever started us is gone, however it went: its end of the pipe closes. Never without a
/// lifeline.
asio::awaitable<void> starter_gone(bool has_lifeline) {
  const auto executor = co_await asio::this_coro::executor;
  if (!has_lifeline) {
    asio::steady_timer never(executor, asio::steady_timer::time_point::max());
    co_await never.async_wait(asio::as_tuple(asio::use_awaitable));
    co_return;
  }
  asio::posix::stream_descriptor lifeline(executor, kLifelineDescriptor);
  std::array<char, 16> ignored{};
  for (;;) {
    auto [failure, got] =
        co_await lifeline.async_read_some(asio::buffer(ignored), asio::as_tuple(asio::use_awaitable));
    if (failure) co_return;
  }
}

/// One line for a program (--announce) or for a person.
void announce(const Arguments& arguments, const Json& event, const std::string& text) {
  fmt::print("{}\n", arguments.announce ? dump_json(event) : text);
  std::fflush(stdout);
}

asio::awaitable<void> run_node(const Arguments& arguments, app::NodeOptions options, int& exit_code) {
  const auto executor = co_await asio::this_coro::executor;
  auto node = co_await app::Node::start(executor, std::move(options));
  if (!node) {
    exit_code = exit_code_of(node.error().code);
    if (arguments.announce) {
      announce(arguments, {{"event", "failed"}, {"error", to_json(node.error())}}, "");
    } else {
      print_error(node.error());
    }
    co_return;
  }
  announce(arguments, {{"event", "ready"}, {"device", arguments.device}, {"api", (*node)->api_url()}},
           fmt::format("{} is up: {}  (Ctrl-C ends it)", arguments.device, (*node)->api_url()));
  asio::co_spawn(
      executor,
      [](app::Node& running, bool has_lifeline) -> asio::awaitable<void> {
        co_await (asked_to_end() || starter_gone(has_lifeline));
        running.stop();
      }(**node, arguments.lifeline),
      asio::detached);
  co_await (*node)->run();
}

int node_command(const Arguments& arguments) {
  auto options = options_from(arguments);
  if (!options) return print_error(options.error());
  asio::io_context loop(1);
  int exit_code = 0;
  asio::co_spawn(loop, run_node(arguments, std::move(*options), exit_code),
                 [&](const std::exception_ptr& failure) {
                   loop.stop();
                   if (failure) std::rethrow_exception(failure);
                 });
  loop.run();
  return exit_code;
}

}  // namespace

void add_node(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("node", "Run this device's node in the foreground");
  command->footer(kExamples);
  command->add_option("--device", arguments->device, "Name of this device")->capture_default_str();
  command->add_option("--state", arguments->state, "Folder for its state (default: ~/.caravan/node)");
  command->add_option("--memory", arguments->memory,
                      "What the engine may use, e.g. 2G (default: what is available)");
  command->add_option("--engine", arguments->engine, "Folder of the engine's programs");
  command->add_option("--port", arguments->port, "Port of the API on 127.0.0.1, 0: any free one")
      ->capture_default_str();
  command->add_flag("--ephemeral", arguments->ephemeral, "Remove the state folder at the end");
  command->add_flag("--announce", arguments->announce, "Say that it is up, or why not, as a line of JSON");
  command->add_flag("--lifeline", arguments->lifeline, "End when descriptor 3 is closed")->group("");
  command->callback([arguments, run]() { run([arguments]() { return node_command(*arguments); }); });
}

}  // namespace caravan::cli
