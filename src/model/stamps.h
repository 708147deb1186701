// Remembers which files had which SHA-256, so that gigabytes are not hashed again as long as they have not
// changed.
#pragma once

#include <optional>
#include <string>

#include "base/files.h"
#include "base/result.h"

namespace caravan::model {

/// Kept in one small file; if it is lost, or two processes write it at once, files are hashed again, nothing
/// worse.
class Stamps {
 public:
  explicit Stamps(fs::path file) : file_(std::move(file)) {}

  /// The hash that the file had when its size and time of change were what they are now.
  std::optional<std::string> hash_of(const fs::path& path) const;
  /// The hash that it had when it was last hashed, whatever happened to it since.
  std::optional<std::string> last_hash_of(const fs::path& path) const;
  Result<void> remember(const fs::path& path, const std::string& sha256) const;
  void forget(const fs::path& path) const;

 private:
  fs::path file_;
};

}  // namespace caravan::model
