#include "doctor/all_checks.h"

#include <utility>

#include "doctor/engine_checks.h"
#include "doctor/exposure_checks.h"
#include "doctor/limit_checks.h"
#include "doctor/memory_checks.h"
#include "doctor/model_checks.h"
#include "doctor/network_checks.h"
#include "doctor/port_checks.h"
#include "doctor/power_checks.h"
#include "doctor/state_checks.h"

namespace caravan::doctor {

Surroundings surroundings_of_this_device(device::SystemView system, std::string engine) {
  std::error_code failure;
  fs::path temporary = fs::temp_directory_path(failure);
  if (failure) temporary = environment("TMPDIR").value_or("/tmp");  // one that is missing is a finding
  return {.system = std::move(system),
          .environment = [](const char* name) { return caravan::environment(name); },
          .engine = engine::engine_places(std::move(engine)),
          .models = model::default_model_roots(),
          .folders = {caravan_home(), cache_folder(), std::move(temporary)},
          .cluster = {}};
}

std::vector<Step> all_steps(const Surroundings& surroundings) {
  const device::SystemView& system = surroundings.system;
  const fs::path& home = surroundings.folders.home;
  return {engine_step(surroundings.engine, home / device::speed_path().filename()),
          model_step(surroundings.models),
          memory_step(system.root),
          storage_step(system.root, surroundings.folders),
          disk_step(home),
          secret_step(home),
          clock_step(home),
          limit_step(),
          port_step(system.root),
          exposure_step(system),
          network_step(system),
          peer_step(surroundings.cluster),
          power_step(system),
          android_step(system, surroundings.environment)};
}

std::vector<CheckInfo> checks_of(const std::vector<Step>& steps) {
  std::vector<CheckInfo> checks;
  for (const Step& step : steps) checks.insert(checks.end(), step.checks.begin(), step.checks.end());
  return checks;
}

}  // namespace caravan::doctor
