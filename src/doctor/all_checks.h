// Every check that one device can run by itself, in the order in which they are told.
#pragma once

#include <string>
#include <vector>

#include "device/system_view.h"
#include "doctor/android_checks.h"
#include "doctor/check.h"
#include "doctor/peer_checks.h"
#include "doctor/storage_checks.h"
#include "engine/locate.h"
#include "model/store.h"

namespace caravan::doctor {

/// What the checks look at.
struct Surroundings {
  device::SystemView system;
  Environment environment;
  engine::EnginePlaces engine;
  model::ModelRoots models;
  StorageFolders folders;
  ReadClusterView cluster;  ///< empty: no node is asked
};

/// Those of this process: its environment, its folders. `engine` is --engine, or empty.
Surroundings surroundings_of_this_device(device::SystemView system, std::string engine);

/// Blocks for nothing yet: the steps do.
std::vector<Step> all_steps(const Surroundings& surroundings);

/// The names of all checks of `steps`, in order.
std::vector<CheckInfo> checks_of(const std::vector<Step>& steps);

}  // namespace caravan::doctor
