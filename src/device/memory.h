// How much memory this device could give to a model right now, and why not more.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/units.h"
#include "device/cgroup.h"
#include "device/source.h"

namespace caravan::device {

/// Two lines of /proc/meminfo (proc_meminfo(5), Linux 3.14+). MemTotal is less than what is printed on the
/// box: the kernel, modem and camera hold some 5 to 10 % of a phone's memory out of it.
struct Meminfo {
  std::optional<Bytes> total;
  std::optional<Bytes> available;  ///< what can be allocated without swapping
};
Meminfo parse_meminfo(std::string_view text);

/// What Android with its launcher, services and the apps that it will not kill holds of `total`: 832 MiB and
/// a fifth. The line through the table "Memory Considerations" of the reference guide (4 GB: 2 to 2.5 usable,
/// 6: 3.5 to 4, 8: 5 to 6, 12: 8 to 9) that keeps it both for the size on the box and for the MemTotal of
/// such phones.
Bytes kept_for_android(Bytes total);

/// What stays free beside the model, so that nothing swaps or is killed at the next page: a sixteenth of
/// `total` or of a group's limit, at most 1 GiB.
Bytes kept_free(Bytes total);

struct UsableMemory {
  std::optional<Bytes> usable;  ///< nothing when nothing is known
  Bytes kept_back;              ///< left to Android, to the system or below the group's limit
  std::string reason;           ///< for a person
};

/// The policy: the least of what is available now less what stays free, on Android what it leaves of the
/// total, and the room in the control group less what stays free there. Pure.
UsableMemory usable_memory(const Meminfo& meminfo, const std::optional<CgroupMemory>& cgroup, bool android);

struct MemoryFacts {
  std::optional<Bytes> total;
  std::optional<Bytes> available;
  std::optional<CgroupMemory> cgroup;  ///< the limit that leaves least room; nothing: no limit is seen
  UsableMemory policy;
};

/// Blocks for a few small files. What it could not read is added to `hidden`.
MemoryFacts read_memory(const fs::path& root, HiddenFacts& hidden);

/// read_memory's answer alone, for those who need a number: Code::unavailable with a cure when it is not
/// known.
Result<Bytes> usable_memory_now(const fs::path& root = "/");

}  // namespace caravan::device
