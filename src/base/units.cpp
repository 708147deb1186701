#include "base/units.h"

#include <array>
#include <cctype>
#include <cmath>

#include <fmt/format.h>

namespace caravan {
namespace {

/// 2^10k for "", "K", "KB", "KiB" and so on; 0 when the suffix is none of them.
double multiplier(std::string_view suffix) {
  if (suffix.empty() || suffix == "b") return 1;
  constexpr std::string_view kPrefixes = "kmgt";
  const auto power = kPrefixes.find(suffix.front());
  if (power == std::string_view::npos) return 0;
  const std::string_view rest = suffix.substr(1);
  if (!rest.empty() && rest != "b" && rest != "ib") return 0;
  return std::pow(1024.0, static_cast<double>(power + 1));
}

}  // namespace

Result<Bytes> parse_bytes(std::string_view text) {
  std::string lower;
  for (const char c : text) {
    if (c != ' ') lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  const std::size_t digits_end = std::min(lower.find_first_not_of("0123456789."), lower.size());
  const std::string digits = lower.substr(0, digits_end);
  const double factor = multiplier(std::string_view(lower).substr(digits_end));
  const bool well_formed = !digits.empty() && digits.front() != '.' && digits.back() != '.' &&
                           digits.find('.') == digits.rfind('.') && digits.size() <= 20;
  const double bytes = well_formed ? std::strtod(digits.c_str(), nullptr) * factor : -1;
  if (!well_formed || factor == 0 || bytes >= 9.2e18) {
    return Error{Code::invalid, fmt::format("'{}' is not a size", text), "write it as 600M, 1.5G or 4096"};
  }
  return Bytes{static_cast<std::uint64_t>(bytes)};
}

std::string format_bytes(Bytes bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes.count < 1024) return fmt::format("{} B", bytes.count);
  auto value = static_cast<double>(bytes.count);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  const int decimals = value < 9.995 ? 2 : (value < 99.95 ? 1 : 0);
  return fmt::format("{:.{}f} {}", value, decimals, kUnits.at(unit));
}

std::string format_token_rate(double tokens_per_second) {
  return fmt::format("{:.{}f}", tokens_per_second, tokens_per_second < 9.95 ? 1 : 0);
}

std::string format_duration(std::chrono::duration<double> seconds) {
  const double s = seconds.count();
  if (s < 9.95) return fmt::format("{:.1f} s", s);
  const auto whole = std::llround(s);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace caravan
