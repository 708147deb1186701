// Limits of the control groups that this process is in: in a container they decide, not what the machine has.
// Formats: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of the kernel, cgroups(7) for
// /proc/self/cgroup, proc_pid_mountinfo(5).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/units.h"

namespace caravan::device {

/// The group that leaves least room, of ours and all above it that can be seen.
struct CgroupMemory {
  int version = 2;
  Bytes limit;
  Bytes used;
  Bytes reclaimable;  ///< part of `used`: file cache that the kernel drops on demand (inactive_file)

  /// What is left below the limit; 0 when it is exceeded.
  Bytes room() const;
};

/// One line of /proc/self/cgroup.
struct CgroupMembership {
  int version = 2;
  std::vector<std::string> controllers;  ///< none for version 2
  std::string path;
};
std::vector<CgroupMembership> parse_cgroup_memberships(std::string_view text);

/// A cgroup file system among the lines of /proc/self/mountinfo.
struct CgroupMount {
  int version = 2;
  std::vector<std::string> controllers;  ///< of version 1: those in its super options
  std::string root;                      ///< which group is mounted
  std::string point;                     ///< where
};
std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo);

/// "max", "-1" and numbers of 2^60 and more (version 1 writes its largest number of pages) are no limit:
/// nothing.
std::optional<Bytes> parse_cgroup_limit(std::string_view text);
/// A line "KEY NUMBER" of memory.stat.
std::optional<Bytes> parse_memory_stat(std::string_view text, std::string_view key);
/// cpu.max, "QUOTA PERIOD" or "max PERIOD": how many CPUs' worth of time; nothing when there is no limit.
std::optional<double> parse_cpu_max(std::string_view text);

/// Nothing when there is no limit, or none can be seen. Blocks for a few small files.
std::optional<CgroupMemory> read_cgroup_memory(const fs::path& root);
/// CPUs' worth of time, e.g. 1.5.
std::optional<double> read_cpu_quota(const fs::path& root);

}  // namespace caravan::device
