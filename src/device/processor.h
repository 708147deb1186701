// What a processor is and which instructions it has, from /proc/cpuinfo.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace caravan::device {

/// One core of /proc/cpuinfo. Arm kernels name its maker and design (arch/arm64/kernel/cpuinfo.c), x86 does
/// not.
struct CpuinfoCore {
  int number = 0;
  unsigned implementer = 0;
  unsigned part = 0;
};

struct Cpuinfo {
  std::vector<CpuinfoCore> cores;  ///< at most 4096
  std::set<std::string> features;  ///< "Features" or "flags" that all cores have
  std::string model_name;          ///< x86: "model name"
  std::string hardware;            ///< "Hardware" of older Arm kernels, the chip's name
};
Cpuinfo parse_cpuinfo(std::string_view text);

/// A core's design.
struct CoreDesign {
  std::string name;     ///< e.g. "Cortex-A510"
  bool little = false;  ///< built to save power, beside bigger ones
};
/// Nothing for designs that are not in the table.
std::optional<CoreDesign> core_design(unsigned implementer, unsigned part);

/// Those instruction features that ggml's kernels are written for, under common names and in a fixed order:
/// for Arm fp16, dotprod, i8mm, bf16, sve, sve2, sme; for x86 avx ... amx_int8.
std::vector<std::string> features_that_matter(const std::set<std::string>& features);

}  // namespace caravan::device
