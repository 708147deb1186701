// One node a state folder: a lock on the file node.lock in it, which says who holds it since when. The kernel
// takes the lock away when its holder is gone, however it went; a file that is left behind means nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/result.h"

namespace caravan::app {

struct LockHolder {
  int pid = 0;             ///< 0: it has not written it down
  std::int64_t since = 0;  ///< seconds since 1970
  bool operator==(const LockHolder&) const = default;
};

/// "1234 1764013783\n": what the file says. Anything else is a holder that is not known.
std::string to_text(const LockHolder& holder);
LockHolder lock_holder_from(std::string_view text);

/// "process 1234, since 2026-11-24 20:03:11", in local time: for people.
std::string describe(const LockHolder& holder);

/// Held until destruction. Blocks for a moment only. flock(2): not inherited by programs that are started.
class NodeLock {
 public:
  /// Makes the folder when it is missing. Code::unavailable: another process holds it.
  static Result<NodeLock> take(const fs::path& folder);

 private:
  explicit NodeLock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;
};

/// Who holds the lock of that state folder; nothing when nobody does. Cannot get in the way of take().
Result<std::optional<LockHolder>> lock_holder(const fs::path& folder);

}  // namespace caravan::app
