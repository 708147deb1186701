#include "app/self_measure.h"

#include <chrono>
#include <memory>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "app/own_profile.h"
#include "base/spawn.h"
#include "base/text.h"
#include "device/memory.h"
#include "engine/fabric.h"
#include "engine/process.h"

namespace caravan::app {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::seconds kMeasuring{45};
constexpr std::chrono::milliseconds kLook{100};  ///< between two looks whether it is still quiet
/// A difference that changes no plan is not worth telling.
constexpr std::uint64_t kMemoryStep = std::uint64_t{64} << 20U;

/// Looks again, on the worker thread: folders may be large, and on slow storage.
asio::awaitable<ModelShelf> refreshed(ModelShelf shelf) {
  shelf.refresh();
  co_return shelf;
}

asio::awaitable<void> give_up_after(std::chrono::seconds time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<SpeedNeed> need_there(std::string build_id, bool is_idle) {
  co_return need_of_speed(build_id, is_idle);
}

/// Without `goes_on` never.
asio::awaitable<void> until_disturbed(std::function<bool()> goes_on) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    timer.expires_after(kLook);
    auto [failure] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (failure || (goes_on && !goes_on())) co_return;
  }
}

}  // namespace

asio::awaitable<SelfReading> SelfMeasure::read(cluster::NodeState state, ModelShelf& shelf,
                                               MeasureChance chance) {
  SelfReading reading;
  reading.card.engine_build = state.engine_build;
  reading.card.fabric = engine::locate_fabric().ok();
  const bool is_idle = state.role == cluster::Role::idle;
  if (is_idle || memory_.count == 0) {
    const auto free = options_.memory ? Result<Bytes>(*options_.memory) : device::usable_memory_now();
    if (!free) reading.problem = free.error();
    if (free) memory_ = options_.memory ? *free : Bytes{free->count / kMemoryStep * kMemoryStep};
  }
  const std::size_t changes = shelf.changes();
  ModelShelf looked = co_await asio::co_spawn(pool_, refreshed(shelf), asio::use_awaitable);
  if (changes == shelf.changes()) shelf = std::move(looked);
  reading.card.models = shelf.models();
  if (state.engine_build.empty()) co_return reading;

  reading.measuring = co_await measure_if_due(state, chance);
  auto profile = own_profile(state.device, memory_);
  if (profile) {
    reading.card.profile = std::move(*profile);
  } else {
    reading.problem = failed_ ? *failed_ : profile.error();
  }
  co_return reading;
}

asio::awaitable<SelfReading::Measuring> SelfMeasure::measure_if_due(const cluster::NodeState& state,
                                                                    const MeasureChance& chance) {
  using Measuring = SelfReading::Measuring;
  const bool is_idle = state.role == cluster::Role::idle;
  if (failed_ || (!is_idle && !chance.is_at_rest)) co_return Measuring::none;
  const SpeedNeed need =
      co_await asio::co_spawn(pool_, need_there(options_.build_id, is_idle), asio::use_awaitable);
  if (need.reason.empty() && !chance.again) co_return Measuring::none;
  chance.begins(need.reason);
  std::vector<std::string> how{"calibrate", "--json"};
  how.emplace_back(chance.again ? "--departed" : "--if-needed");
  if (chance.again && need.was_quick) how.emplace_back("--quick");
  std::function<bool()> goes_on;
  if (!is_idle) goes_on = chance.goes_on;
  auto failed = co_await measure(std::move(how), std::move(goes_on));
  const bool is_interrupted = failed && failed->code == Code::interrupted;
  if (!is_interrupted) failed_ = std::move(failed);
  co_return is_interrupted ? Measuring::interrupted : Measuring::done;
}

asio::awaitable<std::optional<Error>> SelfMeasure::measure(std::vector<std::string> how,
                                                           std::function<bool()> goes_on) {
  SpawnSpec spec;
  spec.program = options_.program;
  spec.arguments = std::move(how);
  if (!options_.engine.empty()) spec.arguments.insert(spec.arguments.end(), {"--engine", options_.engine});
  const auto executor = co_await asio::this_coro::executor;
  const auto said = std::make_shared<std::string>();
  auto process =
      engine::Process::start(executor, spec, [said](std::string_view line) { *said = printable(line); });
  if (!process) co_return with_context(process.error(), "measuring this device's speed");
  auto ended =
      co_await ((*process)->wait() || give_up_after(kMeasuring) || until_disturbed(std::move(goes_on)));
  if (ended.index() == 2) {
    co_await (*process)->stop(std::chrono::milliseconds(0));
    co_return Error{Code::interrupted, "somebody asks meanwhile", ""};
  }
  if (ended.index() == 1) {
    co_await (*process)->stop(std::chrono::milliseconds(500));
    co_return Error{Code::unavailable, "measuring this device's speed took too long",
                    "run `caravan calibrate`"};
  }
  const engine::ExitStatus status = std::get<0>(ended);
  if (status == engine::ExitStatus{}) co_return std::nullopt;
  co_return Error{Code::unavailable,
                  fmt::format("measuring this device's speed failed ({}): {}", engine::describe(status),
                              said->substr(0, 300)),
                  "run `caravan calibrate`"};
}

}  // namespace caravan::app
