// Keeps up to date what this device tells of itself: its heat and battery, and as a master how fast its
// engine answers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include "cluster/condition.h"
#include "device/system_view.h"
#include "engine/change.h"
#include "engine/token_rates.h"

namespace caravan::app {

/// One event loop. What blocks (a program of Termux:API for up to 5 s) runs on a thread of its own, for which
/// the destructor waits.
class OwnCondition {
 public:
  static constexpr std::chrono::seconds kSense{30};  ///< between two looks at heat and battery
  static constexpr std::chrono::seconds kRates{2};   ///< between two looks at the engine's counts

  /// `backend_port`: where llama-server answers here, when this node is a master that is ready. `changed` is
  /// notified when now() has changed.
  /// `answered` is called with what an answer took, or several of them, when it has ended, and with all that
  /// the engine has counted so far.
  OwnCondition(device::SystemView system, std::function<std::optional<std::uint16_t>()> backend_port,
               std::function<void(const engine::TokenTotals& ended, const engine::TokenTotals& all)> answered,
               engine::Change& changed);

  /// Heat, battery and rates; the rest is left empty.
  const cluster::Condition& now() const { return condition_; }

  /// Until cancelled.
  boost::asio::awaitable<void> run();

 private:
  boost::asio::awaitable<void> sense();
  boost::asio::awaitable<void> watch_rates();
  boost::asio::awaitable<std::optional<cluster::AnswerRates>> read_rates(std::uint16_t port);

  device::SystemView system_;
  std::function<std::optional<std::uint16_t>()> backend_port_;
  std::function<void(const engine::TokenTotals&, const engine::TokenTotals&)> answered_;
  engine::Change& changed_;
  cluster::Condition condition_;
  engine::TokenRateMeter meter_;
  std::optional<std::uint16_t> metered_;  ///< the port that the meter's figures are of
  boost::asio::thread_pool pool_{1};
};

}  // namespace caravan::app
