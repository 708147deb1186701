#include "device/cores.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "device/cgroup.h"

namespace caravan::device {
namespace {

constexpr double kSameStrength = 0.95;
constexpr double kLittleCapacity = 0.5;
constexpr double kLittleMhz = 0.75;

bool contains(const std::vector<int>& sorted, int number) {
  return std::binary_search(sorted.begin(), sorted.end(), number);
}

bool all_have_capacity(const std::vector<Cpu>& cpus) {
  return std::all_of(cpus.begin(), cpus.end(), [](const Cpu& cpu) { return cpu.capacity.has_value(); });
}

double strength(const Cpu& cpu, bool by_capacity) {
  return by_capacity ? *cpu.capacity : cpu.max_mhz.value_or(0);
}

CoreCluster cluster_of(const std::vector<Cpu>& cpus) {
  CoreCluster cluster;
  cluster.design = cpus.front().design;
  std::vector<int> cores;
  for (const Cpu& cpu : cpus) {
    cluster.cpus.push_back(cpu.number);
    cores.push_back(cpu.core);
    cluster.max_mhz = std::max(cluster.max_mhz, cpu.max_mhz);
    cluster.capacity = std::max(cluster.capacity, cpu.capacity);
  }
  std::sort(cluster.cpus.begin(), cluster.cpus.end());
  std::sort(cores.begin(), cores.end());
  cluster.cores = static_cast<int>(std::unique(cores.begin(), cores.end()) - cores.begin());
  return cluster;
}

bool is_little(const Cpu& cpu, const Cpu& strongest, bool by_capacity) {
  if (!cpu.design.empty() && cpu.design != strongest.design) return cpu.little_design;
  return strength(cpu, by_capacity) <
         strength(strongest, by_capacity) * (by_capacity ? kLittleCapacity : kLittleMhz);
}

std::string number_of_cores(int cores, std::string_view kind) {
  return fmt::format("{}{}{} core{}", cores, kind.empty() ? "" : " ", kind, cores == 1 ? "" : "s");
}

std::string one_for_each(int cores, std::string_view kind) {
  if (cores == 1) return fmt::format("one for the only {}{}core", kind, kind.empty() ? "" : " ");
  return "one for each of " + number_of_cores(cores, kind);
}

/// Cores of the clusters that are (not) little and of which at least one CPU is allowed.
int allowed_cores(const std::vector<CoreCluster>& clusters, const std::vector<int>& allowed, bool little) {
  int cores = 0;
  for (const CoreCluster& cluster : clusters) {
    if (cluster.little != little) continue;
    const auto cpus = std::count_if(cluster.cpus.begin(), cluster.cpus.end(),
                                    [&](int cpu) { return contains(allowed, cpu); });
    cores += std::min(cluster.cores, static_cast<int>(cpus));
  }
  return cores;
}

std::optional<int> small_integer(const fs::path& path, int unit) {
  const auto number = read_integer(path);
  if (!number || *number <= 0 || *number / unit > 1'000'000) return std::nullopt;
  return static_cast<int>(*number / unit);
}

/// The CPUs that are there, from the first source that tells.
std::vector<int> online_cpus(const fs::path& root, const Cpuinfo& info,
                             const std::optional<std::vector<int>>& allowed) {
  const auto text = read_text(root / "sys/devices/system/cpu/online");
  if (const auto list = text ? parse_cpu_list(*text) : std::nullopt; list && !list->empty()) return *list;
  if (info.cores.empty()) return allowed.value_or(std::vector<int>());
  std::vector<int> numbers;
  for (const CpuinfoCore& core : info.cores) numbers.push_back(core.number);
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

std::optional<std::vector<int>> cpus_listed_in(const fs::path& path) {
  const auto text = read_text(path);
  return text ? parse_cpu_list(*text) : std::nullopt;
}

Cpu read_cpu(const fs::path& root, int number, const Cpuinfo& info) {
  const fs::path folder = root / "sys/devices/system/cpu" / fmt::format("cpu{}", number);
  Cpu cpu{.number = number,
          .capacity = small_integer(folder / "cpu_capacity", 1),
          .max_mhz = small_integer(folder / "cpufreq/cpuinfo_max_freq", 1000),
          .core = number};
  const auto siblings = cpus_listed_in(folder / "topology/thread_siblings_list");
  if (siblings && !siblings->empty()) cpu.core = siblings->front();
  const auto entry = std::find_if(info.cores.begin(), info.cores.end(),
                                  [&](const CpuinfoCore& one) { return one.number == number; });
  const auto design = entry == info.cores.end() ? std::nullopt : core_design(entry->implementer, entry->part);
  if (design) {
    cpu.design = design->name;
    cpu.little_design = design->little;
  }
  return cpu;
}

/// Intel's hybrid processors have one performance counter unit for each kind of core, which lists its CPUs
/// (tools/perf/Documentation/intel-hybrid.txt of the kernel).
void mark_hybrid(const fs::path& root, std::vector<Cpu>& cpus) {
  const auto big = cpus_listed_in(root / "sys/devices/cpu_core/cpus");
  const auto little = cpus_listed_in(root / "sys/devices/cpu_atom/cpus");
  if (!big || !little) return;
  for (Cpu& cpu : cpus) {
    if (contains(*big, cpu.number)) cpu.design = "P-core";
    if (!contains(*little, cpu.number)) continue;
    cpu.design = "E-core";
    cpu.little_design = true;
  }
}

}  // namespace

std::vector<CoreCluster> make_clusters(std::vector<Cpu> cpus) {
  const bool by_capacity = all_have_capacity(cpus);
  std::sort(cpus.begin(), cpus.end(), [&](const Cpu& a, const Cpu& b) {
    const double of_a = strength(a, by_capacity);
    const double of_b = strength(b, by_capacity);
    if (a.little_design != b.little_design) return b.little_design;
    if (of_a != of_b) return of_a > of_b;
    return a.design != b.design ? a.design < b.design : a.number < b.number;
  });
  std::vector<CoreCluster> clusters;
  for (std::size_t begin = 0; begin < cpus.size();) {
    const Cpu& first = cpus[begin];
    std::size_t end = begin;
    while (end < cpus.size() && cpus[end].design == first.design &&
           strength(cpus[end], by_capacity) >= strength(first, by_capacity) * kSameStrength)
      ++end;
    const std::vector<Cpu> same(cpus.begin() + static_cast<std::ptrdiff_t>(begin),
                                cpus.begin() + static_cast<std::ptrdiff_t>(end));
    clusters.push_back(cluster_of(same));
    clusters.back().little = is_little(first, cpus.front(), by_capacity);
    begin = end;
  }
  return clusters;
}

DecodeThreads decode_threads(const std::vector<CoreCluster>& clusters, const std::vector<int>& allowed,
                             std::optional<double> cpu_quota) {
  const int big = allowed_cores(clusters, allowed, false);
  const int little = allowed_cores(clusters, allowed, true);
  const bool has_little =
      std::any_of(clusters.begin(), clusters.end(), [](const auto& one) { return one.little; });
  DecodeThreads threads;
  if (big > 0) {
    threads.count = big;
    threads.reason = one_for_each(big, has_little ? "big" : "");
    if (little > 0)
      threads.reason += fmt::format("; {} would make them wait", number_of_cores(little, "little"));
  } else if (little > 0) {
    threads.count = little;
    threads.reason =
        fmt::format("the system lets this program run on {} only", number_of_cores(little, "little"));
  } else {
    threads.reason = "the system does not tell its cores";
  }
  const int quota = cpu_quota ? std::max(1, static_cast<int>(std::min(*cpu_quota, 4096.0))) : threads.count;
  if (quota < threads.count) {
    threads.count = quota;
    threads.reason =
        fmt::format("a container or service limit allows {:.1f} cores' worth of time", *cpu_quota);
  }
  return threads;
}

CoreFacts read_cores(const fs::path& root, const Cpuinfo& info, HiddenFacts& hidden) {
  CoreFacts facts;
  const auto status = read_text(root / "proc/self/status");
  const auto line = status ? value_after(*status, "Cpus_allowed_list:") : std::nullopt;
  const auto allowed = line ? parse_cpu_list(*line) : std::nullopt;
  const std::vector<int> online = online_cpus(root, info, allowed);
  std::vector<Cpu> cpus;
  for (const int number : online) {
    cpus.push_back(read_cpu(root, number, info));
    if (!allowed || contains(*allowed, number)) facts.allowed.push_back(number);
  }
  mark_hybrid(root, cpus);
  if (cpus.empty()) hidden.push_back({"cores", "the system does not show its cores", ""});
  facts.clusters = make_clusters(std::move(cpus));
  facts.cpu_quota = read_cpu_quota(root);
  facts.decode = decode_threads(facts.clusters, facts.allowed, facts.cpu_quota);
  return facts;
}

CoreFacts read_cores(const fs::path& root) {
  const auto text = read_text(root / "proc/cpuinfo");
  HiddenFacts hidden;
  return read_cores(root, parse_cpuinfo(text ? *text : ""), hidden);
}

}  // namespace caravan::device
