#include "cli/plain_offers.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "cli/cluster_command.h"
#include "cli/peer_address.h"
#include "engine/rpc_probe.h"

namespace caravan::cli {
namespace {

constexpr std::chrono::seconds kPatience{5};

boost::asio::awaitable<Result<engine::RpcOffer>> ask(engine::TcpAddress address) {
  const auto executor = co_await boost::asio::this_coro::executor;
  co_return co_await engine::rpc_offer(executor, std::move(address), kPatience);
}

Error explain(const cluster::PlainWorker& worker, const Error& problem) {
  Error error = with_context(problem, "plain worker " + name_of(worker));
  if (error.code == Code::disconnected)
    error.hint = fmt::format("start it there: `ggml-rpc-server -H 0.0.0.0 -p {}`", worker.port);
  if (error.code == Code::unavailable)
    error.hint = "is the address right, and does nobody else use it? It serves one master at a time";
  return error;
}

}  // namespace

Result<std::vector<cluster::PlainWorker>> plain_offers(const std::vector<std::string>& addresses) {
  std::vector<cluster::PlainWorker> workers;
  workers.reserve(addresses.size());
  for (const std::string& text : addresses) {
    const auto address = peer_address(text, cluster::kPlainWorkerPort);
    if (!address) return with_context(address.error(), "--plain-worker");
    cluster::PlainWorker worker{address->host, address->port, Bytes{}, 0};
    if (find_plain(workers, name_of(worker)) != nullptr)
      return Error{Code::invalid, "--plain-worker: " + name_of(worker) + " is there twice", "name it once"};
    const auto offer = run_interruptible(ask({worker.host, worker.port}));
    if (!offer && offer.error().code == Code::interrupted) return offer.error();
    if (!offer) return explain(worker, offer.error());
    worker.memory = offer->free_memory;
    worker.round_trip = offer->round_trip.count();
    workers.push_back(std::move(worker));
  }
  return workers;
}

}  // namespace caravan::cli
