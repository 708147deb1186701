// The file that an engine program's output goes to, bounded in size. Its writes block as little as a page
// cache does.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/descriptor.h"
#include "base/files.h"

namespace caravan::engine {

inline constexpr std::uint64_t kMaxLogBytes = std::uint64_t{4} << 20U;

/// Keeps the first half of the limit for good: how the program started. What follows restarts behind it when
/// the file is full. The file of the run before is kept as "<path>.old". A log that cannot be written is no
/// reason to stop: then nothing is written.
class EngineLog {
 public:
  /// Empty path: no log.
  explicit EngineLog(const fs::path& path, std::uint64_t max_bytes = kMaxLogBytes);

  void write_line(std::string_view line);

 private:
  void append(std::string_view text);

  Descriptor file_;
  std::uint64_t max_bytes_;
  std::uint64_t size_ = 0;
  std::uint64_t kept_ = 0;  ///< where the second part begins, once the first is full
};

}  // namespace caravan::engine
