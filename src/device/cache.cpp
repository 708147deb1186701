#include "device/cache.h"

#include <algorithm>

#include "base/text.h"

namespace caravan::device {
namespace {

constexpr Bytes kMaxFile{4096};
constexpr Bytes kMaxCache = mebibytes(64ULL * 1024);  ///< more than that is no cache but a mistake

bool starts_with(const fs::path& path, std::string_view prefix) {
  return path.filename().string().rfind(prefix, 0) == 0;
}

std::optional<Bytes> size_in(const fs::path& file) {
  const auto text = read_file(file, kMaxFile);
  if (!text) return std::nullopt;
  const auto size = parse_bytes(trim(*text));
  if (!size || *size > kMaxCache || *size == Bytes{}) return std::nullopt;
  return *size;
}

}  // namespace

std::optional<Bytes> largest_cache(const fs::path& root) {
  std::optional<Bytes> largest;
  std::error_code failure;
  for (const auto& cpu : fs::directory_iterator(root / "sys/devices/system/cpu", failure)) {
    if (!starts_with(cpu.path(), "cpu")) continue;
    std::error_code none;
    for (const auto& index : fs::directory_iterator(cpu.path() / "cache", none)) {
      if (!starts_with(index.path(), "index")) continue;
      const auto size = size_in(index.path() / "size");
      if (size && (!largest || *size > *largest)) largest = size;
    }
  }
  return largest;
}

Bytes measuring_pool(std::optional<Bytes> cache, Bytes available) {
  const Bytes wanted{
      std::clamp(3 * cache.value_or(Bytes{}).count, mebibytes(64).count, mebibytes(256).count)};
  return std::min(wanted, Bytes{available.count / 4});
}

}  // namespace caravan::device
