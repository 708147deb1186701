// The part of a ClusterSide about this device's own speed: what the planner is told of it, and when it is
// measured again.
#include <algorithm>
#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <fmt/format.h>

#include "app/cluster_inner.h"
#include "engine/pause.h"

namespace caravan::app {

using engine::pause_for;

using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::seconds kCard{20};  ///< between two looks at one's own speed, memory and models

}  // namespace

/// What the planner should know of this device; told when it changes. While an engine program runs, its
/// memory is not counted again: it is what the plan has given it.
asio::awaitable<void> ClusterSide::Inner::keep_card() {
  SelfMeasure measure({options.program, options.engine, options.build_id, options.memory},
                      pool.get_executor());
  while (!stopped) {
    cluster::NodeState state = node.state();
    MeasureChance chance = chance_to_measure();
    auto reading = co_await measure.read(std::move(state), shelf, std::move(chance));
    if (stopped) co_return;
    take_reading(std::move(reading));
    const std::uint64_t seen = card_is_due.count();
    co_await (card_is_due.past(seen) || pause_for(kCard));
  }
}

void ClusterSide::Inner::take_reading(SelfReading reading) {
  measure_problem = reading.problem;
  if (reading.measuring == SelfReading::Measuring::interrupted) speed_check.interrupted();
  if (reading.measuring == SelfReading::Measuring::done) speed_check.measured(Clock::now());
  if (reading.measuring != SelfReading::Measuring::none) condition_change.notify();
  if (cards.contains(roster.self()) && to_json(cards[roster.self()]) == to_json(reading.card)) return;
  cards[roster.self()] = reading.card;
  mesh->broadcast(kCardMessage, to_json(reading.card));
  deployer->post(cluster::CardHeard{roster.self(), std::move(reading.card)});
  changed();
}

MeasureChance ClusterSide::Inner::chance_to_measure() {
  const TimePoint now = Clock::now();
  MeasureChance chance;
  const bool is_fit = !is_spared(roster.self());
  chance.is_at_rest = is_fit && speed_check.is_at_rest(now);
  chance.again = is_fit && speed_check.is_due(now);
  chance.goes_on = [this]() { return is_quiet(); };
  chance.begins = [this](const std::string& why) {
    // Whatever slows a replica down may be on any of its devices.
    for (const std::string& device : speed_check.others())
      (void)mesh->send(device, kMeasureMessage, Json{{"version", 1}});
    speed_check.began();
    condition_change.notify();
    say(why.empty() ? "this device measures its speed again: answers are not as planned"
                    : "this device measures its speed: " + why);
  };
  return chance;
}

void ClusterSide::Inner::answered(const engine::TokenTotals& ended, const engine::TokenTotals& all) {
  const auto plan = planned_speed(deployer->deployments(), roster.self());
  if (!plan) return;
  // One that is hot slows itself down, and not for long: that says nothing about what it can do.
  const auto& carriers = plan->devices;
  if (std::any_of(carriers.begin(), carriers.end(), [this](const auto& one) { return is_spared(one); }))
    return;
  const bool was_noted = speed_check.note().has_value();
  const auto told = speed_check.answered(ended, all, *plan, Clock::now());
  if (told) say(plan->model + ": " + *told);
  if (told || was_noted) condition_change.notify();
}

/// Only by who needs this device for its answers.
void ClusterSide::Inner::asked_to_measure(const std::string& device) {
  const auto plan = planned_speed(deployer->deployments(), device);
  if (!plan) return;
  const auto& carriers = plan->devices;
  if (std::find(carriers.begin(), carriers.end(), roster.self()) == carriers.end()) return;
  if (speed_check.asked(Clock::now()))
    say(fmt::format("{}: the answers of {} are not as fast as planned", plan->model, roster.name_of(device)));
}

void ClusterSide::Inner::look_for_rest() {
  const TimePoint now = Clock::now();
  speed_check.rests(is_quiet(), now);
  if (speed_check.is_due(now)) card_is_due.notify();
}

}  // namespace caravan::app
