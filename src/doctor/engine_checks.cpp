#include "doctor/engine_checks.h"

#include <array>
#include <exception>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "engine/fabric_probe.h"

namespace caravan::doctor {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kLimit{15};  // for a phone that is busy
/// What Caravan was written against; others may work.
constexpr int kProtocol = 7;
constexpr const char* kBuild = "./run build";
constexpr const char* kCalibrate = "caravan calibrate";

/// Not needed, but without each of them something is missing.
struct Wish {
  const char* flag;
  const char* loss;
};
constexpr std::array<Wish, 4> kWishes{{
    {"--fit", "the engine may change the plan"},
    {"--cache-ram", "its prompt cache pulls the workers' state over the network"},
    {"--offline", "it may look for models on the internet"},
    {"--no-slots", "it shows one person's prompt to another"},
}};

bool lacks_rpc(const Error& error) { return error.message.find("without RPC") != std::string::npos; }

/// Why nothing can be said beyond the first checks; nothing when the engine runs.
std::optional<Finding> not_running(const EngineState& state) {
  if (state.facts && state.facts->ok()) return std::nullopt;
  return skipped("no engine that runs");
}

/// An error's own cure, or how to get an engine.
std::vector<std::string> cure_of(const Error& error) {
  return {error.hint.empty() ? std::string(kBuild) : error.hint};
}

}  // namespace

Finding engine_found(const EngineState& state) {
  if (state.files) {
    return ok(fmt::format("{} ({})", for_people(state.files->folder()), state.files->origin));
  }
  const Error& error = state.files.error();
  if (lacks_rpc(error)) return ok("llama-server is there, see engine-rpc");
  return {Status::problem, error.message, "without llama.cpp's programs this device cannot carry anything",
          cure_of(error)};
}

Finding engine_rpc(const EngineState& state) {
  const Error* error = !state.files                        ? &state.files.error()
                       : state.facts && !state.facts->ok() ? &state.facts->error()
                                                           : nullptr;
  if (error == nullptr) {
    if (const auto none = not_running(state)) return *none;
    return ok(fmt::format("{}, protocol {}", state.files->rpc_server.filename().string(),
                          engine::to_string(state.facts->value().rpc)));
  }
  if (!lacks_rpc(*error)) return skipped("no engine that runs");
  return {Status::problem,
          error->message,
          "a model can be split between devices only with an engine that was built with RPC",
          {kBuild, "or rebuild yours: cmake -B build -DGGML_RPC=ON && cmake --build build"}};
}

Finding engine_starts(const EngineState& state) {
  if (!state.facts) return skipped("no engine");
  if (state.facts->ok()) return ok(state.facts->value().version);
  const Error& error = state.facts->error();
  if (lacks_rpc(error)) return skipped("see engine-rpc");
  return {Status::problem, error.message, "an engine whose programs do not run on this device is of no use",
          cure_of(error)};
}

Finding engine_flags(const EngineState& state) {
  if (const auto none = not_running(state)) return *none;
  const engine::EngineFacts& facts = state.facts->value();
  // A plan that uses everything: the builders themselves say what is missing.
  const engine::TcpAddress worker{"127.0.0.1", 1};
  const engine::MasterArguments everything{.model = "model.gguf",
                                           .workers = {worker},
                                           .layers = {1, 1},
                                           .batch = 1,
                                           .ubatch = 1,
                                           .kv_type = "q8_0"};
  const auto master = engine::master_arguments(everything, facts.server_flags, facts.rpc_device_names);
  const auto server = engine::worker_arguments({.port = 1}, facts.rpc_flags);
  if (!master || !server) {
    const Error& error = !master ? master.error() : server.error();
    return {Status::problem, error.message, "a plan cannot be carried out with it", {kBuild}};
  }
  std::vector<std::string> lost;
  for (const Wish& wish : kWishes) {
    if (!facts.server_flags.has(wish.flag)) lost.push_back(fmt::format("{} ({})", wish.flag, wish.loss));
  }
  if (lost.empty()) return ok("takes everything that a plan may need");
  return {Status::warning,
          "llama-server does not take " + join(lost, ", "),
          "it works, but not as well as with the engine that Caravan was made for",
          {kBuild}};
}

Finding engine_version(const EngineState& state) {
  if (const auto none = not_running(state)) return *none;
  const engine::EngineFacts& facts = state.facts->value();
  if (facts.rpc.major == kProtocol) return ok(facts.source_id);
  return {Status::warning,
          fmt::format("{} speaks RPC protocol {}; Caravan was made for {}.x", facts.version,
                      engine::to_string(facts.rpc), kProtocol),
          "all devices that share a model must run the same build of the engine",
          {kBuild}};
}

Finding fabric_found(const EngineState& state) {
  if (state.fabric_files) return ok(for_people(state.fabric_files->worker.parent_path()));
  const Error& error = state.fabric_files.error();
  return {
      Status::warning, error.message,
      "models that this device has a share of go through llama.cpp's RPC: slower, and weights are sent at "
      "each start",
      cure_of(error)};
}

Finding fabric_fits(const EngineState& state) {
  if (!state.fabric_files) return skipped("see fabric-found");
  if (const auto none = not_running(state)) return *none;
  if (!state.fabric) return skipped("was not tried");
  if (state.fabric->ok()) return ok("llama-server computes on caravan-worker");
  return {
      Status::warning, state.fabric->error().message,
      "models that this device has a share of go through llama.cpp's RPC: slower, and weights are sent at "
      "each start",
      cure_of(state.fabric->error())};
}

Finding speed_measured(const EngineState& state) {
  if (state.speed) {
    return ok(fmt::format("{} measurements{}", state.speed->measurements.size(),
                          state.speed->quick ? ", in short" : ""));
  }
  const bool never = state.speed.error().code == Code::not_found;
  return {Status::warning,
          never ? "it was never measured how fast this device runs the engine"
                : "the measured speed cannot be used: " + state.speed.error().message,
          "without it the planner guesses, and may give this device too much or too little",
          {kCalibrate}};
}

Finding speed_current(const EngineState& state) {
  if (!state.speed) return skipped("nothing was measured");
  if (const auto none = not_running(state)) return *none;
  const auto reason = needs_refresh(*state.speed, state.facts->value().build_id, state.limits, state.now);
  if (!reason) return ok("measured with this engine on this much of the processor");
  return {Status::warning,
          "the measured speed is of no use any more: " + *reason,
          "the planner would plan with numbers that are wrong now",
          {kCalibrate}};
}

EngineState read_engine_state(const engine::EnginePlaces& places, const fs::path& speed) {
  const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  EngineState state{engine::locate_engine(places),
                    std::nullopt,
                    device::load_speed(speed),
                    device::limits_of(device::read_cores()),
                    now,
                    engine::locate_fabric(),
                    std::nullopt};
  if (!state.files) return state;
  asio::thread_pool pool(1);
  asio::io_context loop(1);
  asio::co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        state.facts = co_await engine::probe_engine(loop.get_executor(), pool.get_executor(), *state.files);
        if (state.facts->ok() && state.fabric_files)
          state.fabric =
              co_await engine::probe_fabric(loop.get_executor(), *state.files, *state.fabric_files);
      },
      [](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
      });
  loop.run();
  return state;
}

Step engine_step(engine::EnginePlaces places, fs::path speed) {
  return make_step<EngineState>(
      {{{"engine-found", "llama.cpp's programs are there"}, engine_found},
       {{"engine-rpc", "they were built with RPC"}, engine_rpc},
       {{"engine-starts", "they run on this device"}, engine_starts},
       {{"engine-flags", "they take the flags that a plan needs"}, engine_flags},
       {{"engine-version", "they speak the protocol that is known"}, engine_version},
       {{"fabric-found", "Caravan's own data path is there"}, fabric_found},
       {{"fabric-fits", "it works with this engine"}, fabric_fits},
       {{"speed-measured", "`caravan calibrate` was run"}, speed_measured},
       {{"speed-current", "its figures still hold"}, speed_current}},
      kLimit,
      [places = std::move(places), speed = std::move(speed)] { return read_engine_state(places, speed); });
}

}  // namespace caravan::doctor
