// What `caravan doctor` shows to a person. Pure.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "doctor/check.h"
#include "doctor/finding.h"

namespace caravan::cli {

/// One line for what is well; why and cure below it for the rest.
std::string text_of(const doctor::Diagnosis& diagnosis);
/// "44 checks in 2.1 s: 1 problem, 38 ok, 5 skipped"
std::string summary_of(const doctor::Tally& tally, std::chrono::duration<double> took);
/// A line a check: its name and what it looks at.
std::string list_of(const std::vector<doctor::CheckInfo>& checks);

}  // namespace caravan::cli
