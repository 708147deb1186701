// What the commands about the cluster have in common: they ask the node of `caravan up` on this device, and
// Ctrl-C ends them.
#pragma once

#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "app/cluster_client.h"
#include "base/json.h"
#include "base/result.h"
#include "cli/this_node.h"

namespace caravan::cli {

/// The node of this device.
app::ClusterClient this_cluster();

inline boost::asio::awaitable<void> interrupted() {
  boost::asio::signal_set signals(co_await boost::asio::this_coro::executor, SIGINT, SIGTERM, SIGHUP);
  co_await signals.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
}

template <typename Value>
boost::asio::awaitable<Result<Value>> unless_interrupted(boost::asio::awaitable<Result<Value>> work) {
  using namespace boost::asio::experimental::awaitable_operators;
  auto outcome = co_await (std::move(work) || interrupted());
  if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
  co_return Error{Code::interrupted, "interrupted", ""};
}

/// Runs it to its end, or until Ctrl-C: Code::interrupted. Blocks.
template <typename Value>
Result<Value> run_interruptible(boost::asio::awaitable<Result<Value>> work) {
  return run_to_end(unless_interrupted(std::move(work)));
}

/// POST /v1/cluster/`what` on this device's node. Blocks.
Result<Json> ask_cluster(const std::string& what, Json body);

}  // namespace caravan::cli
