// Seeded faults: masters and workers in one process, real sockets, and something that goes wrong between
// them. After each fault nothing may be wrong but that it is said to have failed.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fabric/module/plan.h"
#include "fabric/soak/faulty_link.h"

namespace caravan::fabric::soak {

struct Settings {
  std::uint64_t first_seed = 1;
  std::uint64_t cases = 100;
  unsigned lanes = 2;  ///< so many pairs of workers at a time
  /// The plan's time-out, where a fault is seen without it. Below the default nobody can say whether a run
  /// was only slow.
  std::chrono::milliseconds patience = Plan{}.timeout;
  std::filesystem::path folder;  ///< for the model's file
};

struct Tally {
  std::uint64_t cases = 0;
  std::uint64_t struck = 0;  ///< faults that happened
  std::uint64_t failed = 0;  ///< runs that said so
  std::uint64_t slow = 0;    ///< runs that failed by their short time-out before the fault: nothing is known
  std::chrono::milliseconds longest{0};          ///< of a run with a fault, until it had failed or ended
  std::chrono::milliseconds longest_release{0};  ///< until both workers were free again
  std::map<std::string, std::uint64_t> by_kind;  ///< faults that happened
  std::vector<std::string> late;   ///< runs of over 9 s, and those after which workers took over one
  std::vector<std::string> wrong;  ///< what must not be, with its seed
};

/// Blocks until all is done. `progress` is called now and then, by one thread at a time.
Tally soak(const Settings& settings, const std::function<void(const Tally&)>& progress = nullptr);

}  // namespace caravan::fabric::soak
