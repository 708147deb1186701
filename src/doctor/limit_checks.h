// Limits that the shell or the system puts on this process and its children (setrlimit(2)).
#pragma once

#include <cstdint>
#include <optional>

#include "base/units.h"
#include "doctor/check.h"

namespace caravan::doctor {

/// Nothing where there is no limit.
struct LimitState {
  std::optional<std::uint64_t> open_files;
  std::optional<std::uint64_t> open_files_hard;  ///< up to that a user may raise it
  std::optional<std::uint64_t> processes;        ///< of this user; threads count
  std::optional<Bytes> address_space;
  std::optional<Bytes> file_size;
};

/// Pure.
Finding open_files(const LimitState& state);
Finding process_limit(const LimitState& state);
Finding size_limits(const LimitState& state);

LimitState read_limit_state();

Step limit_step();

}  // namespace caravan::doctor
