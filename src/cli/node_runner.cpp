#include "cli/node_runner.h"

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

#include "app/node_client.h"

namespace caravan::cli {

namespace asio = boost::asio;

namespace {

constexpr int kLifelineDescriptor = 3;  // where engine::Process puts it

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

/// Ends with the node's event stream.
asio::awaitable<void> pass_on_states(fs::path socket, std::function<void(const cluster::NodeState&)> state) {
  const app::NodeClient client(std::move(socket));
  std::function<void(cluster::NodeState)> take = [state](const cluster::NodeState& now) { state(now); };
  co_await client.watch(std::move(take));
}

asio::awaitable<int> run_on_loop(app::NodeOptions options, bool lifeline, const NodeEvents& events) {
  const auto executor = co_await asio::this_coro::executor;
  const auto ending = std::make_shared<Ending>();
  asio::co_spawn(executor, obey_signals(ending), asio::detached);
  if (lifeline) asio::co_spawn(executor, obey_lifeline(ending), asio::detached);
  const fs::path socket = app::control_socket(options.state_folder);
  auto started = co_await app::Node::start(executor, std::move(options));
  if (!started) {
    events.failed(started.error());
    co_return exit_code_of(started.error().code);
  }
  const std::shared_ptr<app::Node> node = std::move(*started);
  ending->node = node;
  if (ending->asked) node->stop();
  events.ready(*node);
  if (events.state) asio::co_spawn(executor, pass_on_states(socket, events.state), asio::detached);
  co_await node->run();
  co_return 0;
}

}  // namespace

int run_node(app::NodeOptions options, bool lifeline, const NodeEvents& events) {
  // Whoever reads what it says may be gone; it still has its state to clean up.
  (void)std::signal(SIGPIPE, SIG_IGN);
  asio::io_context loop(1);
  int exit_code = 0;
  asio::co_spawn(loop, run_on_loop(std::move(options), lifeline, events),
                 [&](const std::exception_ptr& failure, int code) {
                   exit_code = code;
                   loop.stop();
                   if (failure) std::rethrow_exception(failure);
                 });
  loop.run();
  return exit_code;
}

}  // namespace caravan::cli
