#include "engine/fabric_worker.h"

#include <optional>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "engine/child.h"

namespace caravan::engine {

using namespace asio::experimental::awaitable_operators;

struct FabricWorker::State {
  std::string key;
  std::shared_ptr<EngineChild> child;
  std::optional<TcpAddress> address;

  asio::awaitable<void> until_it_listens() const {
    while (!address && !child->report()) co_await child->changed().past(child->changed().count());
  }
};

asio::awaitable<Result<std::unique_ptr<FabricWorker>>> FabricWorker::start(
    asio::any_io_executor executor, FabricWorkerSpec spec, std::chrono::milliseconds timeout) {
  auto key = new_fabric_key();
  if (!key) co_return key.error();
  auto state = std::make_shared<State>();
  state->key = std::move(*key);
  SpawnSpec process;
  process.program = spec.files.worker;
  process.arguments = {"--listen", "127.0.0.1:0",      "--threads", fmt::format("{}", spec.threads),
                       "--store",  spec.weights.store, "--models",  spec.weights.models};
  if (spec.weights.limit) {
    process.arguments.emplace_back("--store-limit");
    process.arguments.push_back(fmt::format("{}", spec.weights.limit->count >> 20U));  // MiB
  }
  process.environment = engine_environment(spec.engine);
  process.environment["CARAVAN_FABRIC_KEY"] = state->key;  // not an argument: those everybody can read
  const auto take = [&self = *state](const EngineEvent& event) {
    const auto* listening = std::get_if<Listening>(&event);
    if (listening == nullptr) return;
    self.address = TcpAddress{listening->host, listening->port};
    self.child->changed().notify();
  };
  auto child = EngineChild::start(executor, Program::fabric_worker, process, spec.log, take);
  if (!child) co_return child.error();
  state->child = std::move(*child);
  std::unique_ptr<FabricWorker> worker(new FabricWorker(state));
  asio::steady_timer patience(executor, timeout);
  co_await (state->until_it_listens() || patience.async_wait(asio::as_tuple(asio::use_awaitable)));
  if (state->child->report()) co_return state->child->report()->error;
  if (!state->address)
    co_return Error{Code::unavailable, "the fabric's worker does not start in time", "see its log"};
  state->child->enter(RunPhase::serving);
  co_return worker;
}

FabricWorker::FabricWorker(std::shared_ptr<State> state) : state_(std::move(state)) {}
FabricWorker::~FabricWorker() { state_->child->end(); }

TcpAddress FabricWorker::address() const { return *state_->address; }
const std::string& FabricWorker::key() const { return state_->key; }
pid_t FabricWorker::pid() const { return state_->child->pid(); }
asio::awaitable<ExitReport> FabricWorker::exited() { return state_->child->exited(); }
asio::awaitable<void> FabricWorker::stop(std::chrono::milliseconds grace) {
  return state_->child->stop(grace);
}

}  // namespace caravan::engine
