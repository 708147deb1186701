#include "cli/node.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "app/node.h"
#include "base/json.h"
#include "cli/print.h"
#include "device/memory.h"

namespace caravan::cli {

namespace asio = boost::asio;

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
  const auto memory = arguments.memory.empty() ? device::usable_memory_now() : parse_bytes(arguments.memory);
  if (!memory) return with_context(memory.error(), "--memory");
  options.memory = *memory;
  options.api = {"127.0.0.1", arguments.port};
  options.engine = arguments.engine;
  options.ephemeral = arguments.ephemeral;
  return options;
}

/// The wish to end, which may come before there is a node to end.
struct Ending {
  std::shared_ptr<app::Node> node;
  bool asked = false;

  void ask() {
    asked = true;
    if (node) node->stop();
  }
};

/// Holds on to the signals to the end: a second one, which comes when the starter's death is both seen and
/// signalled, must not kill the node while it cleans up.
asio::awaitable<void> obey_signals(std::shared_ptr<Ending> ending) {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM, SIGHUP);
  for (;;) {
    auto [failure, signal] = co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
    if (failure) co_return;
    ending->ask();
  }
}

/// Whoever started the node is gone, however it went, when its end of the pipe closes.
asio::awaitable<void> obey_lifeline(std::shared_ptr<Ending> ending) {
  asio::posix::stream_descriptor lifeline(co_await asio::this_coro::executor, kLifelineDescriptor);
  std::array<char, 16> ignored{};
  for (;;) {
    auto [failure, got] =
        co_await lifeline.async_read_some(asio::buffer(ignored), asio::as_tuple(asio::use_awaitable));
    if (!failure) continue;
    ending->ask();
    co_return;
  }
}

/// One line for a program (--announce) or for a person.
void announce(const Arguments& arguments, const Json& event, const std::string& text) {
  fmt::print("{}\n", arguments.announce ? dump_json(event) : text);
  std::fflush(stdout);
}

asio::awaitable<void> run_node(const Arguments& arguments, app::NodeOptions options, int& exit_code) {
  const auto executor = co_await asio::this_coro::executor;
  const auto ending = std::make_shared<Ending>();
  asio::co_spawn(executor, obey_signals(ending), asio::detached);
  if (arguments.lifeline) asio::co_spawn(executor, obey_lifeline(ending), asio::detached);
  auto started = co_await app::Node::start(executor, std::move(options));
  if (!started) {
    exit_code = exit_code_of(started.error().code);
    if (arguments.announce) {
      announce(arguments, {{"event", "failed"}, {"error", to_json(started.error())}}, "");
    } else {
      print_error(started.error());
    }
    co_return;
  }
  const std::shared_ptr<app::Node> node = std::move(*started);
  ending->node = node;
  if (ending->asked) node->stop();
  announce(arguments, {{"event", "ready"}, {"device", arguments.device}, {"api", node->api_url()}},
           fmt::format("{} is up: {}  (Ctrl-C ends it)", arguments.device, node->api_url()));
  co_await node->run();
}

int node_command(const Arguments& arguments) {
  // Whoever reads what it says may be gone; it still has its state to clean up.
  (void)std::signal(SIGPIPE, SIG_IGN);
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
