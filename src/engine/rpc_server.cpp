#include "engine/rpc_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "engine/arguments.h"
#include "engine/child.h"
#include "engine/ports.h"

namespace caravan::engine {

namespace {

using namespace asio::experimental::awaitable_operators;
constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
/// It writes its banner before it has bound its port, and into a buffer, so that only asking tells when it is
/// up.
constexpr std::chrono::milliseconds kBetweenHellos{20};
constexpr std::chrono::milliseconds kHelloPatience{2000};
constexpr int kPortAttempts = 4;

Result<std::shared_ptr<EngineChild>> start_on(const asio::any_io_executor& executor,
                                              const RpcServerSpec& spec, std::uint16_t port) {
  const auto arguments = worker_arguments({.port = port, .threads = spec.threads}, spec.flags);
  if (!arguments) return arguments.error();
  ProcessSpec process;
  process.program = spec.files.rpc_server;
  process.arguments = *arguments;
  process.environment = engine_environment(spec.files);
  return EngineChild::start(executor, Program::rpc_server, process, spec.log, [](const EngineEvent&) {});
}

/// Its version once it answers; its report when it ends before that.
asio::awaitable<Result<RpcVersion>> until_it_answers(std::shared_ptr<EngineChild> child, TcpAddress address,
                                                     TimePoint deadline) {
  const asio::any_io_executor executor = child->changed().executor();
  asio::steady_timer pause(executor);
  Result<RpcVersion> answer = Error{};
  while (Clock::now() < deadline) {
    answer = co_await rpc_hello(executor, address, kHelloPatience);
    if (child->report()) co_return child->report()->error;
    if (answer.ok()) co_return answer;
    pause.expires_after(kBetweenHellos);
    co_await (child->exited() || pause.async_wait(kUseResult));
    if (child->report()) co_return child->report()->error;
  }
  co_return with_context(answer.error(), "the RPC server does not answer in time");
}

}  // namespace

struct RpcServer::State {
  std::shared_ptr<EngineChild> child;
  TcpAddress address;
  RpcVersion version;
};

asio::awaitable<Result<std::unique_ptr<RpcServer>>> RpcServer::start(asio::any_io_executor executor,
                                                                     RpcServerSpec spec,
                                                                     std::chrono::milliseconds timeout) {
  const TimePoint deadline = Clock::now() + timeout;
  for (int attempt = 0;; ++attempt) {
    const auto port = choose_rpc_port(spec.rank, attempt);
    if (!port) co_return port.error();
    auto child = start_on(executor, spec, *port);
    if (!child) co_return child.error();
    auto state = std::make_unique<State>(State{*child, TcpAddress{"127.0.0.1", *port}, {}});
    std::unique_ptr<RpcServer> server(new RpcServer(std::move(state)));
    const auto version = co_await until_it_answers(*child, server->address(), deadline);
    if (version.ok()) {
      server->state_->version = *version;
      (*child)->enter(RunPhase::serving);
      co_return server;
    }
    const bool port_was_taken = (*child)->report() && (*child)->report()->cause == ExitCause::port_taken;
    if (!port_was_taken || attempt + 1 == kPortAttempts) co_return version.error();
  }
}

RpcServer::RpcServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
RpcServer::~RpcServer() { state_->child->end(); }

TcpAddress RpcServer::address() const { return state_->address; }
RpcVersion RpcServer::version() const { return state_->version; }
pid_t RpcServer::pid() const { return state_->child->pid(); }
asio::awaitable<ExitReport> RpcServer::exited() { return state_->child->exited(); }
asio::awaitable<void> RpcServer::stop(std::chrono::milliseconds grace) { return state_->child->stop(grace); }

}  // namespace caravan::engine
