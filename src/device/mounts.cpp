#include "device/mounts.h"

#include <algorithm>

#include "base/text.h"

namespace caravan::device {
namespace {

/// mountinfo writes space, tab, newline and backslash as \ and three octal digits.
std::string unescape(std::string_view text) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
                         is_octal(text[i + 2]) && is_octal(text[i + 3]);
    if (!escaped) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return plain;
}

bool is_above(const std::string& point, const std::string& path) {
  return point == "/" || path == point || path.rfind(point + "/", 0) == 0;
}

}  // namespace

bool Mount::has_option(std::string_view name) const {
  return std::find(options.begin(), options.end(), name) != options.end();
}

std::vector<Mount> parse_mounts(std::string_view mountinfo) {
  constexpr std::size_t kRoot = 3;
  constexpr std::size_t kPoint = 4;
  constexpr std::size_t kOptions = 5;
  std::vector<Mount> mounts;
  for (const std::string& line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");  // ends the optional fields
    if (dash - fields.begin() <= static_cast<std::ptrdiff_t>(kOptions) || fields.end() - dash < 4) continue;
    mounts.push_back({.root = unescape(fields[kRoot]),
                      .point = unescape(fields[kPoint]),
                      .options = split(fields[kOptions], ','),
                      .type = *(dash + 1),
                      .super_options = split(*(dash + 3), ',')});
  }
  return mounts;
}

std::optional<Mount> mount_of(const std::vector<Mount>& mounts, const fs::path& path) {
  const std::string text = path.string();
  const Mount* nearest = nullptr;
  for (const Mount& mount : mounts) {
    if (!is_above(mount.point, text)) continue;
    if (nearest == nullptr || mount.point.size() >= nearest->point.size()) nearest = &mount;
  }
  return nearest == nullptr ? std::nullopt : std::optional(*nearest);
}

}  // namespace caravan::device
