// The node that `caravan up` runs on this device, for the commands that talk to it.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/files.h"
#include "base/result.h"
#include "cluster/messages.h"

namespace caravan::cli {

/// Awaits `work` and keeps its value.
template <typename Value>
boost::asio::awaitable<void> keep_value(boost::asio::awaitable<Value> work, std::optional<Value>& value) {
  value.emplace(co_await std::move(work));
}

/// Runs it on an event loop of its own, for commands that do one thing after the other. Blocks.
template <typename Value>
Value run_to_end(boost::asio::awaitable<Value> work) {
  boost::asio::io_context loop(1);
  std::optional<Value> value;
  boost::asio::co_spawn(loop, keep_value(std::move(work), value), [](const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
  });
  loop.run();
  return std::move(*value);
}

/// Where its state is: caravan_home() itself.
fs::path this_nodes_folder();

/// Its state, once it answers; it may be starting. Blocks for `patience` and one call more. Code::unavailable
/// when there is none, or it stays silent.
Result<cluster::NodeState> state_of_this_node(std::chrono::milliseconds patience);

}  // namespace caravan::cli
