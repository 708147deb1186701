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
/// For it to say that it was the one who took the hello. Every version known says so at once.
constexpr std::chrono::milliseconds kAcceptPatience{1000};
constexpr int kPortAttempts = 4;

/// A server that is starting, and whether it has taken a client.
struct Starting {
  std::shared_ptr<EngineChild> child;
  bool accepted = false;
};

Result<std::shared_ptr<Starting>> start_on(const asio::any_io_executor& executor, const RpcServerSpec& spec,
                                           std::uint16_t port) {
  const auto arguments = worker_arguments({.port = port, .threads = spec.threads}, spec.flags);
  if (!arguments) return arguments.error();
  SpawnSpec process;
  process.program = spec.files.rpc_server;
  process.arguments = *arguments;
  process.environment = engine_environment(spec.files);
  auto starting = std::make_shared<Starting>();
  const auto take = [weak = std::weak_ptr<Starting>(starting)](const EngineEvent& event) {
    const auto self = weak.lock();
    if (!self || !std::holds_alternative<ClientAccepted>(event)) return;
    self->accepted = true;
    self->child->changed().notify();
  };
  auto child = EngineChild::start(executor, Program::rpc_server, process, spec.log, take);
  if (!child) return child.error();
  starting->child = std::move(*child);
  return starting;
}

/// Whether it was this server that took the hello: another program may have come first to the port, and
/// answer.
asio::awaitable<void> until_it_has_accepted(std::shared_ptr<Starting> starting) {
  EngineChild& child = *starting->child;
  while (!starting->accepted && !child.report()) co_await child.changed().past(child.changed().count());
}

/// Its version once it answers; its report when it ends before that.
asio::awaitable<Result<RpcVersion>> until_it_answers(std::shared_ptr<Starting> starting, TcpAddress address,
                                                     TimePoint deadline) {
  const auto child = starting->child;
  const asio::any_io_executor executor = child->changed().executor();
  asio::steady_timer pause(executor);
  Result<RpcVersion> answer = Error{};
  while (Clock::now() < deadline) {
    answer = co_await rpc_hello(executor, address, kHelloPatience);
    pause.expires_after(answer.ok() ? kAcceptPatience : kBetweenHellos);
    if (answer.ok()) {
      co_await (until_it_has_accepted(starting) || pause.async_wait(kUseResult));
    } else if (!child->report()) {
      co_await (child->exited() || pause.async_wait(kUseResult));
    }
    if (child->report()) co_return child->report()->error;
    if (answer.ok()) co_return answer;
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
    const auto starting = start_on(executor, spec, *port);
    if (!starting) co_return starting.error();
    const auto child = (*starting)->child;
    auto state = std::make_unique<State>(State{child, TcpAddress{"127.0.0.1", *port}, {}});
    std::unique_ptr<RpcServer> server(new RpcServer(std::move(state)));
    const auto version = co_await until_it_answers(*starting, server->address(), deadline);
    if (version.ok()) {
      server->state_->version = *version;
      child->enter(RunPhase::serving);
      co_return server;
    }
    const bool port_was_taken = child->report() && child->report()->cause == ExitCause::port_taken;
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
