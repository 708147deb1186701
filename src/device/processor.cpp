#include "device/processor.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

#include "base/text.h"
#include "device/source.h"

namespace caravan::device {
namespace {

constexpr std::size_t kMaxCores = 4096;
constexpr unsigned kArm = 0x41;
constexpr unsigned kQualcomm = 0x51;
constexpr unsigned kSamsung = 0x53;

struct KnownDesign {
  unsigned implementer;
  unsigned part;
  const char* name;
  bool little;
};

// Numbers: arch/arm64/include/asm/cputype.h of the kernel, and util-linux's lscpu-arm.c for those that it
// lacks.
constexpr std::array kDesigns{
    KnownDesign{kArm, 0xd03, "Cortex-A53", true},
    KnownDesign{kArm, 0xd04, "Cortex-A35", true},
    KnownDesign{kArm, 0xd05, "Cortex-A55", true},
    KnownDesign{kArm, 0xd07, "Cortex-A57", false},
    KnownDesign{kArm, 0xd08, "Cortex-A72", false},
    KnownDesign{kArm, 0xd09, "Cortex-A73", false},
    KnownDesign{kArm, 0xd0a, "Cortex-A75", false},
    KnownDesign{kArm, 0xd0b, "Cortex-A76", false},
    KnownDesign{kArm, 0xd0c, "Neoverse-N1", false},
    KnownDesign{kArm, 0xd0d, "Cortex-A77", false},
    KnownDesign{kArm, 0xd40, "Neoverse-V1", false},
    KnownDesign{kArm, 0xd41, "Cortex-A78", false},
    KnownDesign{kArm, 0xd44, "Cortex-X1", false},
    KnownDesign{kArm, 0xd46, "Cortex-A510", true},
    KnownDesign{kArm, 0xd47, "Cortex-A710", false},
    KnownDesign{kArm, 0xd48, "Cortex-X2", false},
    KnownDesign{kArm, 0xd49, "Neoverse-N2", false},
    KnownDesign{kArm, 0xd4b, "Cortex-A78C", false},
    KnownDesign{kArm, 0xd4c, "Cortex-X1C", false},
    KnownDesign{kArm, 0xd4d, "Cortex-A715", false},
    KnownDesign{kArm, 0xd4e, "Cortex-X3", false},
    KnownDesign{kArm, 0xd4f, "Neoverse-V2", false},
    KnownDesign{kArm, 0xd80, "Cortex-A520", true},
    KnownDesign{kArm, 0xd81, "Cortex-A720", false},
    KnownDesign{kArm, 0xd82, "Cortex-X4", false},
    KnownDesign{kArm, 0xd85, "Cortex-X925", false},
    KnownDesign{kArm, 0xd87, "Cortex-A725", false},
    KnownDesign{kQualcomm, 0x001, "Oryon", false},
    KnownDesign{kQualcomm, 0x800, "Kryo 2xx Gold", false},
    KnownDesign{kQualcomm, 0x801, "Kryo 2xx Silver", true},
    KnownDesign{kQualcomm, 0x802, "Kryo 3xx Gold", false},
    KnownDesign{kQualcomm, 0x803, "Kryo 3xx Silver", true},
    KnownDesign{kQualcomm, 0x804, "Kryo 4xx Gold", false},
    KnownDesign{kQualcomm, 0x805, "Kryo 4xx Silver", true},
    KnownDesign{kSamsung, 0x001, "Exynos M1", false},
    KnownDesign{kSamsung, 0x002, "Exynos M3", false},
    KnownDesign{kSamsung, 0x003, "Exynos M4", false},
    KnownDesign{kSamsung, 0x004, "Exynos M5", false},
};

struct Feature {
  const char* kernel;  // as the kernel spells it
  const char* common;
};

// Documentation/arch/arm64/elf_hwcaps.rst and arch/x86/include/asm/cpufeatures.h.
constexpr std::array kFeatures{
    Feature{"asimdhp", "fp16"},
    Feature{"asimddp", "dotprod"},
    Feature{"i8mm", "i8mm"},
    Feature{"bf16", "bf16"},
    Feature{"sve", "sve"},
    Feature{"sve2", "sve2"},
    Feature{"sme", "sme"},
    Feature{"avx", "avx"},
    Feature{"f16c", "f16c"},
    Feature{"fma", "fma"},
    Feature{"avx2", "avx2"},
    Feature{"avx_vnni", "avx_vnni"},
    Feature{"avx512f", "avx512f"},
    Feature{"avx512_vnni", "avx512_vnni"},
    Feature{"avx512_bf16", "avx512_bf16"},
    Feature{"amx_int8", "amx_int8"},
};

/// "0x41" or "d05" as the kernel writes them; 0 for anything else.
unsigned parse_hexadecimal(std::string_view text) {
  if (text.rfind("0x", 0) == 0) text.remove_prefix(2);
  unsigned number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return failure == std::errc() && end == text.data() + text.size() ? number : 0;
}

void keep_common(std::optional<std::set<std::string>>& all, std::string_view words) {
  std::set<std::string> here;
  for (const std::string& word : split(words, ' ')) {
    if (!word.empty()) here.insert(word);
  }
  if (!all) {
    all = std::move(here);
    return;
  }
  std::set<std::string> both;
  std::set_intersection(all->begin(), all->end(), here.begin(), here.end(), std::inserter(both, both.end()));
  *all = std::move(both);
}

}  // namespace

Cpuinfo parse_cpuinfo(std::string_view text) {
  Cpuinfo info;
  std::optional<std::set<std::string>> features;
  for (const std::string& line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string_view key = trim(std::string_view(line).substr(0, colon));
    const std::string_view value = trim(std::string_view(line).substr(colon + 1));
    const auto number = key == "processor" ? parse_integer(value) : std::nullopt;
    if (number && *number >= 0 && *number < static_cast<std::int64_t>(kMaxCores) &&
        info.cores.size() < kMaxCores) {
      info.cores.push_back({static_cast<int>(*number), 0, 0});
    }
    if (key == "CPU implementer" && !info.cores.empty())
      info.cores.back().implementer = parse_hexadecimal(value);
    if (key == "CPU part" && !info.cores.empty()) info.cores.back().part = parse_hexadecimal(value);
    if (key == "Features" || key == "flags") keep_common(features, value);
    if (key == "model name" && info.model_name.empty()) info.model_name = value;
    if (key == "Hardware" && info.hardware.empty()) info.hardware = value;
  }
  info.features = features.value_or(std::set<std::string>());
  return info;
}

std::optional<CoreDesign> core_design(unsigned implementer, unsigned part) {
  const auto found = std::find_if(kDesigns.begin(), kDesigns.end(), [&](const KnownDesign& one) {
    return one.implementer == implementer && one.part == part;
  });
  if (found == kDesigns.end()) return std::nullopt;
  return CoreDesign{found->name, found->little};
}

std::vector<std::string> features_that_matter(const std::set<std::string>& features) {
  std::vector<std::string> found;
  for (const Feature& feature : kFeatures) {
    if (features.count(feature.kernel) > 0) found.emplace_back(feature.common);
  }
  return found;
}

}  // namespace caravan::device
