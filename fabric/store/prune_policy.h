// What a store keeps and what goes when room is needed. Pure: times and sizes come from the caller.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/units.h"

namespace caravan::fabric {

/// Wall clock, because it has to hold over restarts.
using StoreTime = std::chrono::sys_seconds;

struct StoreLimits {
  Bytes limit = mebibytes(8192);     ///< of all that is stored
  Bytes keep_free = mebibytes(512);  ///< on the disk, for everybody else
  std::chrono::hours parts_kept{24 * 7};
  /// How long it waits for another process that has the folder's lock.
  std::chrono::milliseconds lock_patience{2000};
};

/// One file of the store.
struct StoredItem {
  Bytes size;
  StoreTime last_use;
  bool is_used_now = false;  ///< by a process that lives: never goes
  bool is_part = false;      ///< of a tensor, waiting for the rest of it
};

struct PrunePlan {
  std::vector<std::size_t> drop;  ///< indices of items, in the order in which they go
  bool fits = true;               ///< there is room when they are gone
};

class PrunePolicy {
 public:
  explicit PrunePolicy(StoreLimits limits) : limits_(limits) {}

  /// Makes room for `needed` more bytes, with `free` bytes free on the disk now. Longest unused first, of
  /// equally old ones the largest; when anything has to go, a sixteenth of the limit more than needed, so
  /// that not each tensor of a load looks for room again. What would not make enough room stays.
  PrunePlan plan(const std::vector<StoredItem>& items, Bytes needed, Bytes free, StoreTime now) const;

  /// Whether a use at `now` is worth noting after one at `last_use`: once an hour, to spare flash memory.
  static bool is_worth_noting(StoreTime last_use, StoreTime now);

  const StoreLimits& limits() const { return limits_; }

 private:
  StoreLimits limits_;
};

}  // namespace caravan::fabric
