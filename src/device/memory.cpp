#include "device/memory.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "device/android.h"

namespace caravan::device {
namespace {

constexpr std::string_view kSayHowMuch = "say how much may be used, for example --memory 2G";

Bytes minus(Bytes a, Bytes b) { return Bytes{a.count > b.count ? a.count - b.count : 0}; }

std::optional<Bytes> kibibytes_after(std::string_view text, std::string_view key) {
  constexpr std::int64_t kMaxKibibytes = std::int64_t{1} << 50U;
  const auto value = value_after(text, key);
  if (!value || value->size() < 3 || value->compare(value->size() - 3, 3, " kB") != 0) return std::nullopt;
  const auto number = parse_integer(std::string_view(*value).substr(0, value->size() - 3));
  if (!number || *number < 0 || *number > kMaxKibibytes) return std::nullopt;
  return Bytes{static_cast<std::uint64_t>(*number) * 1024};
}

UsableMemory in_system(const Meminfo& meminfo) {
  const Bytes free = kept_free(meminfo.total.value_or(*meminfo.available));
  return {minus(*meminfo.available, free), free,
          fmt::format("{} are available now, {} of them stay free for the system",
                      format_bytes(*meminfo.available), format_bytes(free))};
}

UsableMemory in_android(Bytes total) {
  const Bytes kept = kept_for_android(total);
  return {
      minus(total, kept), kept,
      fmt::format("of {} Android keeps {} for itself and its apps", format_bytes(total), format_bytes(kept))};
}

UsableMemory in_cgroup(const CgroupMemory& cgroup) {
  const Bytes free = kept_free(cgroup.limit);
  return {minus(cgroup.room(), free), free,
          fmt::format("a container or service limit allows {}: {} are in use, {} stay free",
                      format_bytes(cgroup.limit), format_bytes(minus(cgroup.used, cgroup.reclaimable)),
                      format_bytes(free))};
}

}  // namespace

Meminfo parse_meminfo(std::string_view text) {
  return {kibibytes_after(text, "MemTotal:"), kibibytes_after(text, "MemAvailable:")};
}

Bytes kept_for_android(Bytes total) { return mebibytes(832) + Bytes{total.count / 5}; }

Bytes kept_free(Bytes total) { return std::min(Bytes{total.count / 16}, mebibytes(1024)); }

UsableMemory usable_memory(const Meminfo& meminfo, const std::optional<CgroupMemory>& cgroup, bool android) {
  std::vector<UsableMemory> bounds;
  if (meminfo.available) bounds.push_back(in_system(meminfo));
  if (android && meminfo.total) bounds.push_back(in_android(*meminfo.total));
  if (cgroup) bounds.push_back(in_cgroup(*cgroup));
  const auto least = std::min_element(bounds.begin(), bounds.end(),
                                      [](const auto& a, const auto& b) { return *a.usable < *b.usable; });
  if (least == bounds.end())
    return {std::nullopt, {}, "the system does not say how much memory is available"};
  return *least;
}

MemoryFacts read_memory(const fs::path& root, HiddenFacts& hidden) {
  MemoryFacts facts;
  const auto text = read_text(root / "proc/meminfo");
  const Meminfo meminfo = text ? parse_meminfo(*text) : Meminfo{};
  facts.total = meminfo.total;
  facts.available = meminfo.available;
  facts.cgroup = read_cgroup_memory(root);
  facts.policy = usable_memory(meminfo, facts.cgroup, is_android(root));
  if (!meminfo.total || !meminfo.available) {
    hidden.push_back({"memory", text ? "/proc/meminfo does not say it" : why(text.error()),
                      facts.policy.usable ? "" : std::string(kSayHowMuch)});
  }
  return facts;
}

Result<Bytes> usable_memory_now(const fs::path& root) {
  HiddenFacts hidden;
  const MemoryFacts facts = read_memory(root, hidden);
  if (facts.policy.usable) return *facts.policy.usable;
  return Error{Code::unavailable, facts.policy.reason, std::string(kSayHowMuch)};
}

}  // namespace caravan::device
