// What `caravan calibrate` shows: rates as a table for people, facts and estimate as JSON for programs. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "device/cores.h"
#include "device/speed.h"
#include "engine/kernel_lines.h"

namespace caravan::cli {

std::string table_of(const device::Speed& speed, const std::vector<engine::KernelSkipped>& skipped);
Json json_of(const device::Speed& speed, const std::vector<engine::KernelSkipped>& skipped);

/// "q4_K, plain layout, 2 threads": what a measurement was of, for the progress line.
std::string describe(const Measurement& measurement);

/// 1, as many as should generate text, all that are allowed; without repetitions.
std::vector<int> usual_thread_counts(const device::CoreFacts& cores);

}  // namespace caravan::cli
