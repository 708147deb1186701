#include "model/shards.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace caravan::model {
namespace {

constexpr std::string_view kEnding = ".gguf";
constexpr std::string_view kOf = "-of-";
constexpr std::size_t kDigits = 5;

std::optional<std::uint64_t> five_digits(std::string_view text) {
  const bool are_digits = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  std::uint64_t value = 0;
  if (text.size() != kDigits || !are_digits) return std::nullopt;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Takes `count` characters off the end of `text`.
std::string_view take_back(std::string_view& text, std::size_t count) {
  const std::size_t begin = text.size() < count ? 0 : text.size() - count;
  const std::string_view taken = text.substr(begin);
  text = text.substr(0, begin);
  return taken;
}

}  // namespace

std::optional<ShardName> parse_shard_name(std::string_view name) {
  if (take_back(name, kEnding.size()) != kEnding) return std::nullopt;
  const auto count = five_digits(take_back(name, kDigits));
  if (take_back(name, kOf.size()) != kOf) return std::nullopt;
  const auto number = five_digits(take_back(name, kDigits));
  if (take_back(name, 1) != "-" || name.empty()) return std::nullopt;
  if (!count || !number || *count > kMaxShards || *number == 0 || *number > *count) return std::nullopt;
  return ShardName{std::string(name), *number, *count};
}

std::vector<std::string> shard_names(std::string_view name) {
  const auto shard = parse_shard_name(name);
  if (!shard) return {std::string(name)};
  std::vector<std::string> names;
  for (std::uint64_t i = 1; i <= shard->count; ++i) {
    names.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", shard->stem, i, shard->count));
  }
  return names;
}

}  // namespace caravan::model
