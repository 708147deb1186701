#include "device/memory.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include "base/text.h"

namespace caravan::device {

Result<Bytes> parse_mem_available(std::string_view meminfo) {
  constexpr std::string_view kKey = "MemAvailable:";
  constexpr std::uint64_t kMaxKibibytes = 1ULL << 50U;
  for (const std::string& line : split(meminfo, '\n')) {
    if (line.rfind(kKey, 0) != 0) continue;
    const std::string_view number = trim(std::string_view(line).substr(kKey.size()));
    std::uint64_t kibibytes = 0;
    const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), kibibytes);
    const std::string_view unit = trim(std::string_view(end, static_cast<std::size_t>(number.end() - end)));
    if (failure != std::errc() || unit != "kB" || kibibytes > kMaxKibibytes) break;
    return Bytes{kibibytes * 1024};
  }
  return Error{Code::unavailable, "this system does not say how much memory is available",
               "say how much may be used, for example --memory 2G"};
}

Result<Bytes> available_memory(const fs::path& root) {
  auto meminfo = read_file(root / "proc/meminfo", mebibytes(1));
  if (!meminfo) return with_context(meminfo.error(), "reading the available memory");
  return parse_mem_available(*meminfo);
}

int core_count() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

}  // namespace caravan::device
