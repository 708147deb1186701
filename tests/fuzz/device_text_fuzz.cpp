// What the system and its programs say about a device: every text that src/device reads.
#include <cstdint>
#include <string>
#include <string_view>

#include "device/android.h"
#include "device/cgroup.h"
#include "device/cores.h"
#include "device/memory.h"
#include "device/power.h"
#include "device/processor.h"
#include "device/source.h"
#include "device/wifi.h"

using namespace caravan::device;

namespace {

/// What comes out of a text goes through what is made of it.
void use_cores(std::string_view text) {
  const Cpuinfo info = parse_cpuinfo(text);
  (void)features_that_matter(info.features);
  std::vector<Cpu> cpus;
  for (const CpuinfoCore& core : info.cores) {
    Cpu cpu{.number = core.number, .core = core.number};
    if (const auto design = core_design(core.implementer, core.part)) cpu.design = design->name;
    cpus.push_back(std::move(cpu));
  }
  const auto list = parse_cpu_list(text);
  (void)decode_threads(make_clusters(std::move(cpus)), list.value_or(std::vector<int>()),
                       parse_cpu_max(text));
}

void use_memory(std::string_view text) {
  const auto limit = parse_cgroup_limit(text);
  std::optional<CgroupMemory> group;
  if (limit) group = CgroupMemory{2, *limit, parse_memory_stat(text, "anon").value_or(*limit), *limit};
  for (const bool android : {false, true}) (void)usable_memory(parse_meminfo(text), group, android);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  use_cores(text);
  use_memory(text);
  (void)parse_cgroup_memberships(text);
  (void)parse_cgroup_mounts(text);
  (void)android_facts_from(parse_getprop(text));
  (void)parse_termux_battery(text);
  (void)parse_termux_wifi(text);
  (void)parse_charging(text);
  (void)parse_battery_temperature(text);
  (void)parse_zone_temperature(text);
  (void)parse_iw_link(text);
  (void)parse_proc_wireless(text, "wlan0");
  (void)parse_decimal(text);
  (void)value_after(text, "Cpus_allowed_list:");
  return 0;
}
