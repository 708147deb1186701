#include "device/cgroup.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "device/mounts.h"
#include "device/source.h"

namespace caravan::device {
namespace {

constexpr std::int64_t kNoLimit = std::int64_t{1} << 60U;
constexpr std::size_t kMaxGroups = 256;

Bytes minus(Bytes a, Bytes b) { return Bytes{a.count > b.count ? a.count - b.count : 0}; }

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

/// The part of `path` below `root`. A group outside of what is mounted (another cgroup namespace) cannot be
/// seen; then the mount itself is the nearest to it.
fs::path below(const std::string& path, const std::string& root) {
  fs::path rest = path;
  if (root != "/") {
    const bool inside = path == root || path.rfind(root + "/", 0) == 0;
    rest = inside ? path.substr(root.size()) : "";
  }
  const bool climbs = std::find(rest.begin(), rest.end(), "..") != rest.end();
  return climbs ? fs::path() : rest.relative_path();
}

struct Group {
  int version = 2;
  fs::path folder;
};

/// Our groups that govern `controller`, from the innermost up to the mount.
std::vector<Group> groups_of(const fs::path& root, std::string_view controller) {
  const auto memberships = read_text(root / "proc/self/cgroup");
  const auto mountinfo = read_text(root / "proc/self/mountinfo");
  if (!memberships || !mountinfo) return {};
  const auto mounts = parse_cgroup_mounts(*mountinfo);
  std::vector<Group> groups;
  for (const CgroupMembership& membership : parse_cgroup_memberships(*memberships)) {
    if (membership.version == 1 && !contains(membership.controllers, controller)) continue;
    const auto mount = std::find_if(mounts.begin(), mounts.end(), [&](const CgroupMount& one) {
      return one.version == membership.version && (one.version == 2 || contains(one.controllers, controller));
    });
    if (mount == mounts.end()) continue;
    const fs::path top = root / fs::path(mount->point).relative_path();
    fs::path inner = below(membership.path, mount->root).lexically_normal();
    for (; !inner.empty() && inner != "." && groups.size() < kMaxGroups; inner = inner.parent_path()) {
      groups.push_back({membership.version, top / inner});
    }
    groups.push_back({membership.version, top});
  }
  return groups;
}

std::optional<Bytes> smaller(std::optional<Bytes> a, std::optional<Bytes> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

/// Beyond memory.high a group is slowed down until it is useless, so that it counts as a limit. A parent of a
/// version 1 group that is not mounted shows up in hierarchical_memory_limit.
std::optional<CgroupMemory> memory_of(const Group& group) {
  const bool v1 = group.version == 1;
  const auto limit_in = [&](const char* file) {
    const auto text = read_text(group.folder / file);
    return text ? parse_cgroup_limit(*text) : std::nullopt;
  };
  const auto stat_file = read_text(group.folder / "memory.stat");
  const std::string stat = stat_file ? *stat_file : "";
  const auto hierarchical = value_after(stat, "hierarchical_memory_limit ");
  const auto limit = v1 ? smaller(limit_in("memory.limit_in_bytes"),
                                  hierarchical ? parse_cgroup_limit(*hierarchical) : std::nullopt)
                        : smaller(limit_in("memory.max"), limit_in("memory.high"));
  const auto used = read_integer(group.folder / (v1 ? "memory.usage_in_bytes" : "memory.current"));
  if (!limit || !used || *used < 0) return std::nullopt;
  const auto reclaimable = parse_memory_stat(stat, v1 ? "total_inactive_file" : "inactive_file");
  const Bytes in_use{static_cast<std::uint64_t>(*used)};
  return CgroupMemory{group.version, *limit, in_use, std::min(reclaimable.value_or(Bytes{}), in_use)};
}

std::optional<double> quota_of(const Group& group) {
  if (group.version == 2) {
    const auto text = read_text(group.folder / "cpu.max");
    return text ? parse_cpu_max(*text) : std::nullopt;
  }
  const auto quota = read_line(group.folder / "cpu.cfs_quota_us");
  const auto period = read_line(group.folder / "cpu.cfs_period_us");
  return quota && period ? parse_cpu_max(*quota + " " + *period) : std::nullopt;
}

}  // namespace

Bytes CgroupMemory::room() const { return minus(limit, minus(used, reclaimable)); }

std::vector<CgroupMembership> parse_cgroup_memberships(std::string_view text) {
  std::vector<CgroupMembership> memberships;
  for (const std::string& line : split(text, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    CgroupMembership one;
    one.path = line.substr(second + 1);
    if (one.path.empty() || one.path.front() != '/') continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    one.version = controllers.empty() ? 2 : 1;
    if (one.version == 1) one.controllers = split(controllers, ',');
    memberships.push_back(std::move(one));
  }
  return memberships;
}

std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo) {
  std::vector<CgroupMount> groups;
  for (Mount& mount : parse_mounts(mountinfo)) {
    if (mount.type != "cgroup" && mount.type != "cgroup2") continue;
    CgroupMount group{.version = mount.type == "cgroup" ? 1 : 2,
                      .root = std::move(mount.root),
                      .point = std::move(mount.point)};
    if (group.version == 1) group.controllers = std::move(mount.super_options);
    groups.push_back(std::move(group));
  }
  return groups;
}

std::optional<Bytes> parse_cgroup_limit(std::string_view text) {
  const auto number = parse_integer(text);
  if (!number || *number < 0 || *number >= kNoLimit) return std::nullopt;
  return Bytes{static_cast<std::uint64_t>(*number)};
}

std::optional<Bytes> parse_memory_stat(std::string_view text, std::string_view key) {
  const auto value = value_after(text, std::string(key) + " ");
  return value ? parse_cgroup_limit(*value) : std::nullopt;
}

std::optional<double> parse_cpu_max(std::string_view text) {
  const auto fields = split(trim(text), ' ');
  if (fields.size() != 2) return std::nullopt;
  const auto quota = parse_integer(fields[0]);
  const auto period = parse_integer(fields[1]);
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<CgroupMemory> read_cgroup_memory(const fs::path& root) {
  std::optional<CgroupMemory> tightest;
  for (const Group& group : groups_of(root, "memory")) {
    const auto memory = memory_of(group);
    if (memory && (!tightest || memory->room() < tightest->room())) tightest = memory;
  }
  return tightest;
}

std::optional<double> read_cpu_quota(const fs::path& root) {
  std::optional<double> smallest;
  for (const Group& group : groups_of(root, "cpu")) {
    const auto quota = quota_of(group);
    if (quota && (!smallest || *quota < *smallest)) smallest = quota;
  }
  return smallest;
}

}  // namespace caravan::device
