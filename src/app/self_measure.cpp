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

}  // namespace

asio::awaitable<SelfReading> SelfMeasure::read(cluster::NodeState state, ModelShelf& shelf) {
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

  const std::string reason = why_calibrate(state.engine_build);
  if (is_idle && !reason.empty() && !failed_) failed_ = co_await measure();
  auto profile = own_profile(state.device, memory_);
  if (profile) {
    reading.card.profile = std::move(*profile);
  } else {
    reading.problem = failed_ ? *failed_ : profile.error();
  }
  co_return reading;
}

asio::awaitable<std::optional<Error>> SelfMeasure::measure() {
  SpawnSpec spec;
  spec.program = options_.program;
  spec.arguments = {"calibrate", "--if-needed", "--json"};
  if (!options_.engine.empty()) spec.arguments.insert(spec.arguments.end(), {"--engine", options_.engine});
  const auto executor = co_await asio::this_coro::executor;
  const auto said = std::make_shared<std::string>();
  auto process =
      engine::Process::start(executor, spec, [said](std::string_view line) { *said = printable(line); });
  if (!process) co_return with_context(process.error(), "measuring this device's speed");
  auto ended = co_await ((*process)->wait() || give_up_after(kMeasuring));
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
