#include "app/own_condition.h"

#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "device/power.h"
#include "engine/http_client.h"
#include "engine/pause.h"

namespace caravan::app {

using engine::pause_for;

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::milliseconds kPatience{1500};  // the engine answers between two of its steps
constexpr std::size_t kMostPage = std::size_t{256} << 10U;

asio::awaitable<bool> is_cancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

asio::awaitable<device::Senses> read_there(device::SystemView system) {
  co_return device::read_senses(system);
}

cluster::TokenRates rates_of(const engine::TokenRate& rate) { return {rate.decode, rate.prefill}; }

}  // namespace

OwnCondition::OwnCondition(
    device::SystemView system, std::function<std::optional<std::uint16_t>()> backend_port,
    std::function<void(const engine::TokenTotals&, const engine::TokenTotals&)> answered,
    engine::Change& changed)
    : system_(std::move(system)),
      backend_port_(std::move(backend_port)),
      answered_(std::move(answered)),
      changed_(changed) {}

asio::awaitable<void> OwnCondition::run() { co_await (sense() || watch_rates()); }

asio::awaitable<void> OwnCondition::sense() {
  for (;;) {
    device::SystemView system = system_;
    const device::Senses senses =
        co_await asio::co_spawn(pool_, read_there(std::move(system)), asio::use_awaitable);
    cluster::Condition next = condition_;
    next.processor_celsius = senses.processor;
    next.battery_celsius = senses.battery ? senses.battery->temperature : std::nullopt;
    next.battery_percent = senses.battery ? senses.battery->level : std::nullopt;
    next.charging = senses.battery ? senses.battery->charging : std::nullopt;
    if (next != condition_) {
      condition_ = std::move(next);
      changed_.notify();
    }
    co_await pause_for(kSense);
    const bool over = co_await is_cancelled();
    if (over) co_return;
  }
}

asio::awaitable<void> OwnCondition::watch_rates() {
  for (;;) {
    std::optional<cluster::AnswerRates> rates;
    if (const auto port = backend_port_()) {
      rates = co_await read_rates(*port);
    }
    if (rates != condition_.rates) {
      condition_.rates = rates;
      changed_.notify();
    }
    co_await pause_for(kRates);
    const bool over = co_await is_cancelled();
    if (over) co_return;
  }
}

asio::awaitable<std::optional<cluster::AnswerRates>> OwnCondition::read_rates(std::uint16_t port) {
  if (metered_ != port) meter_ = engine::TokenRateMeter();
  const bool goes_on = metered_ == port;
  metered_ = port;
  engine::HttpRequest request;
  request.target = "/metrics";
  engine::HttpAddress address = engine::TcpAddress{"127.0.0.1", port};
  const auto reply = co_await engine::http_call(std::move(address), std::move(request), kPatience, kMostPage);
  const auto totals = reply && reply->status == 200 ? engine::parse_token_totals(reply->body) : std::nullopt;
  // One that is busy with a long prompt answers later: what was known stays.
  if (!totals) co_return goes_on ? condition_.rates : std::nullopt;
  const TimePoint now = Clock::now();
  const engine::TokenTotals ended = meter_.add(*totals, now);
  if (ended.predicted_tokens > 0) answered_(ended, *totals);
  co_return cluster::AnswerRates{rates_of(meter_.last()), rates_of(meter_.minute(now)),
                                 totals->processing + totals->deferred};
}

}  // namespace caravan::app
