// Can Caravan keep its state, models and engine where they are to be: space, permission, kind of file system,
// speed?
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/files.h"
#include "base/result.h"
#include "base/units.h"
#include "device/mounts.h"
#include "doctor/check.h"

namespace caravan::doctor {

/// A folder that Caravan uses; it need not exist yet.
struct Place {
  fs::path folder;
  Result<Bytes> free = Bytes{};
  Result<void> writable;
  std::optional<device::Mount> mount;  ///< nothing: hidden
};

struct StorageState {
  Place home;       ///< caravan_home(): models, state, identity
  Place cache;      ///< cache_folder(): the engine
  Place temporary;  ///< of the system
};

/// Pure.
Finding storage_for_models(const StorageState& state);
Finding storage_for_work(const StorageState& state);
Finding home_writable(const StorageState& state);
Finding home_filesystem(const StorageState& state);
Finding programs_may_run(const StorageState& state);

/// Whether a file can be made in `folder`, or in the nearest folder above it that exists; it is deleted
/// again.
Result<void> try_to_write(const fs::path& folder);

struct StorageFolders {
  fs::path home;
  fs::path cache;
  fs::path temporary;
};
/// `root` is where /proc is. Blocks for some small writes.
StorageState read_storage_state(const fs::path& root, const StorageFolders& folders);

/// How fast a disk writes and reads, in bytes a second.
struct DiskSpeed {
  double write = 0;
  double read = 0;
};
Finding disk_speed(const Result<DiskSpeed>& speed);

/// Writes and reads one file of at most 64 MiB in `folder`, each for at most `time`, give or take one MiB and
/// what the disk takes to sync, and deletes it. Code::exhausted when there is no room to spare.
Result<DiskSpeed> measure_disk(const fs::path& folder, std::chrono::milliseconds time);

Step storage_step(fs::path root, StorageFolders folders);
Step disk_step(fs::path home);

}  // namespace caravan::doctor
