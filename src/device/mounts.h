// What is mounted where. Format: proc_pid_mountinfo(5).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace caravan::device {

/// One line of /proc/self/mountinfo.
struct Mount {
  std::string root;                        ///< which folder of the file system is mounted
  std::string point;                       ///< where
  std::vector<std::string> options;        ///< "rw", "noexec"
  std::string type;                        ///< "ext4", "fuse"
  std::vector<std::string> super_options;  ///< of the file system: "rw", "memory"

  bool has_option(std::string_view name) const;
};

/// Lines that are not of that format are left out.
std::vector<Mount> parse_mounts(std::string_view mountinfo);

/// The mount that `path`, absolute and without "..", is in: the one with the longest point above it, and of
/// those the last, which covers the others. Pure.
std::optional<Mount> mount_of(const std::vector<Mount>& mounts, const fs::path& path);

}  // namespace caravan::device
