// Is there an engine, can it do what Caravan asks of it, and is it known how fast it runs here?
#pragma once

#include <optional>

#include "base/result.h"
#include "device/speed.h"
#include "doctor/check.h"
#include "engine/fabric.h"
#include "engine/probe.h"

namespace caravan::doctor {

struct EngineState {
  Result<engine::EngineFiles> files;
  std::optional<Result<engine::EngineFacts>> facts;  ///< nothing: there are no files
  Result<device::Speed> speed;
  device::ProcessorLimits limits;
  device::WallTime now{};
  Result<engine::FabricFiles> fabric_files;
  std::optional<Result<void>> fabric;  ///< how it went together with the engine; nothing: was not tried
};

/// Pure.
Finding engine_found(const EngineState& state);
Finding engine_rpc(const EngineState& state);
Finding engine_starts(const EngineState& state);
Finding engine_flags(const EngineState& state);
Finding engine_version(const EngineState& state);
Finding fabric_found(const EngineState& state);
Finding fabric_fits(const EngineState& state);
Finding speed_measured(const EngineState& state);
Finding speed_current(const EngineState& state);

/// Runs the engine's programs for a moment and reads `speed`. Blocks for some seconds on a phone. On a thread
/// that lives as long as that takes: the programs die with it.
EngineState read_engine_state(const engine::EnginePlaces& places, const fs::path& speed);

Step engine_step(engine::EnginePlaces places, fs::path speed);

}  // namespace caravan::doctor
