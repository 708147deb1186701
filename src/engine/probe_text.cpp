#include "engine/probe_text.h"

#include <algorithm>

#include "base/text.h"
#include "engine/output.h"

namespace caravan::engine {
namespace {

constexpr std::size_t kMaxNames = 64;

std::string after_mark(std::string_view line, std::string_view mark) {
  const std::size_t at = line.find(mark);
  return at == std::string_view::npos ? "" : std::string(trim(line.substr(at + mark.size())));
}

/// The commit in "0.5.0-dev (build 1, commit de3ff81)" or "4567 (abc1234)".
std::string commit_in(std::string_view version) {
  const std::size_t open = version.rfind('(');
  const std::size_t close = version.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return "";
  const std::string_view inside = version.substr(open + 1, close - open - 1);
  return std::string(inside.substr(std::min(inside.size(), inside.rfind(' ') + 1)));
}

}  // namespace

EngineVersion parse_version(std::string_view output) {
  EngineVersion version;
  for (const std::string& line : split(output, '\n')) {
    if (version.text.empty() && line.rfind("version: ", 0) == 0) version.text = after_mark(line, "version: ");
    if (version.compiler.empty() && line.rfind("built with ", 0) == 0)
      version.compiler = after_mark(line, "built with ");
  }
  version.commit = commit_in(version.text);
  return version;
}

std::vector<std::string> parse_features(std::string_view output) {
  std::vector<std::string> features;
  for (const std::string& line : split(output, '\n')) {
    for (const std::string& part : split(after_mark(line, "system_info:"), '|')) {
      const std::vector<std::string> sides = split(part, '=');
      if (sides.size() != 2 || trim(sides[1]) != "1") continue;
      const std::string name(trim(sides[0].substr(sides[0].rfind(':') + 1)));  // "CPU : SSE3"
      const bool known = std::find(features.begin(), features.end(), name) != features.end();
      if (!name.empty() && !known && features.size() < kMaxNames) features.push_back(name);
    }
  }
  return features;
}

std::vector<std::string> parse_devices(std::string_view output) {
  std::vector<std::string> devices;
  bool in_list = false;
  for (const std::string& line : split(output, '\n')) {
    if (line.rfind("Available devices:", 0) == 0) {
      in_list = true;
    } else if (in_list && line.rfind("  ", 0) == 0 && devices.size() < kMaxNames) {
      const std::size_t end = line.find(": ");
      if (end != std::string::npos) devices.emplace_back(trim(line.substr(0, end)));
    }
  }
  return devices;
}

}  // namespace caravan::engine
