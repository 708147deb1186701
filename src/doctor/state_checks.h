// Caravan's own state on this device: is its key private, is the clock right?
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "doctor/check.h"

namespace caravan::doctor {

using WallTime = std::chrono::sys_seconds;

/// A file or folder that nobody else should get at.
struct PrivatePath {
  fs::path path;
  unsigned mode = 0;  ///< permission bits
  bool ours = true;   ///< it belongs to the user that we run as
};

struct SecretState {
  fs::path home;
  std::vector<PrivatePath> keys;      ///< each device.key that is there
  std::optional<PrivatePath> folder;  ///< `home`; nothing: it is not there yet
};

struct ClockState {
  WallTime now{};
  /// The latest time at which, by the clock of then, something of ours was written: this program, and
  /// the files in Caravan's folder.
  WallTime newest{};
  fs::path newest_file;
};

/// Pure.
Finding identity_private(const SecretState& state);
Finding clock_right(const ClockState& state);

/// Looks at `home` and the folders in it.
SecretState read_secret_state(const fs::path& home);
ClockState read_clock_state(const fs::path& home, const fs::path& program);

Step secret_step(fs::path home);
Step clock_step(fs::path home);

}  // namespace caravan::doctor
