#include "engine/flags.h"

#include <algorithm>

#include "base/text.h"

namespace caravan::engine {
namespace {

constexpr std::size_t kMaxFlags = 2000;
constexpr std::size_t kMaxFlagBytes = 64;

bool is_flag_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_';
}

}  // namespace

EngineFlags EngineFlags::from_help(std::string_view help) {
  EngineFlags flags;
  for (const std::string& line : split(help, '\n')) {
    // Flags stand at the margin, in the RPC server's help two columns from it; what explains them is far to
    // the right.
    const std::size_t indent = line.find_first_not_of(' ');
    if (indent <= 2 && flags.values_.size() < kMaxFlags)
      flags.add_line(std::string_view(line).substr(indent));
  }
  return flags;
}

/// "-fa,   --flash-attn [on|off|auto]       set Flash Attention use": names, the last with its value, two
/// blanks, text.
void EngineFlags::add_line(std::string_view line) {
  std::vector<std::string> names;
  std::string value;
  while (!line.empty() && line.front() == '-') {
    const auto end = std::find_if_not(line.begin(), line.end(), is_flag_character);
    names.emplace_back(line.begin(), end);
    line.remove_prefix(names.back().size());
    if (!line.empty() && line.front() == ',') {
      line.remove_prefix(1);
      line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
      continue;
    }
    const bool has_value = line.size() > 1 && line[0] == ' ' && line[1] != ' ';
    if (has_value) value = line.substr(1, line.find("  ", 1) - 1);
    break;
  }
  for (const std::string& name : names) {
    if (name.size() > 1 && name.find_first_not_of('-') != std::string::npos && name.size() <= kMaxFlagBytes) {
      values_.emplace(name, value);
    }
  }
}

bool EngineFlags::takes_value(std::string_view flag) const {
  const auto found = values_.find(flag);
  return found != values_.end() && !found->second.empty();
}

std::string EngineFlags::first_of(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    if (has(name)) return std::string(name);
  }
  return "";
}

std::vector<std::string> EngineFlags::names() const {
  std::vector<std::string> all;
  all.reserve(values_.size());
  for (const auto& [name, value] : values_) all.push_back(name);
  return all;
}

}  // namespace caravan::engine
