#include "device/source.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <system_error>

#include "base/text.h"

namespace caravan::device {
namespace {

constexpr std::size_t kMaxNames = 4096;
constexpr int kMaxCpu = 4095;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// "cpu2" before "cpu10": shorter runs of digits are smaller numbers.
bool natural_less(const std::string& a, const std::string& b) {
  const auto stem = [](const std::string& name) {
    const std::size_t last = name.find_last_not_of("0123456789");
    return last == std::string::npos ? 0 : last + 1;
  };
  if (stem(a) != stem(b) || a.compare(0, stem(a), b, 0, stem(b)) != 0) return a < b;
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

}  // namespace

bool is_hidden(const HiddenFacts& hidden, std::string_view fact) {
  return std::any_of(hidden.begin(), hidden.end(), [&](const HiddenFact& one) { return one.fact == fact; });
}

Result<std::string> read_text(const fs::path& path) { return read_file(path, mebibytes(1)); }

std::optional<std::string> read_line(const fs::path& path) {
  const auto text = read_text(path);
  if (!text) return std::nullopt;
  // A string of the device tree ends with a zero byte.
  const std::string line(
      trim(std::string_view(*text).substr(0, text->find_first_of(std::string_view("\n\0", 2)))));
  if (line.empty()) return std::nullopt;
  return line;
}

std::optional<std::int64_t> read_integer(const fs::path& path) {
  const auto text = read_text(path);
  return text ? parse_integer(*text) : std::nullopt;
}

Result<std::vector<std::string>> names_in(const fs::path& folder, std::string_view prefix) {
  std::error_code failure;
  fs::directory_iterator entry(folder, failure);
  if (failure) return errno_error("cannot list " + folder.string(), failure.value());
  std::vector<std::string> names;
  for (; entry != fs::directory_iterator() && names.size() < kMaxNames; entry.increment(failure)) {
    if (failure) break;
    std::string name = entry->path().filename().string();
    if (name.rfind(prefix, 0) == 0) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end(), natural_less);
  return names;
}

bool is_there(const fs::path& path) {
  std::error_code failure;
  return fs::exists(path, failure) && !failure;
}

std::string why(const Error& error) {
  if (error.code == Code::not_found) return "the system does not show it";
  if (error.code == Code::invalid) return "the system does not allow programs to read it";
  return error.message;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  text = trim(text);
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<double> parse_decimal(std::string_view text) {
  constexpr int kMaxDigits = 15;  // what a double holds exactly
  text = trim(text);
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  double number = 0;
  double scale = 1;
  int digits = 0;
  bool point = false;
  for (const char c : text) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (!is_digit(c) || ++digits > kMaxDigits) return std::nullopt;
    number = number * 10 + (c - '0');
    if (point) scale *= 10;
  }
  if (digits == 0) return std::nullopt;
  return (negative ? -number : number) / scale;
}

std::optional<std::string> value_after(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.substr(0, key.size()) == key) return std::string(trim(line.substr(key.size())));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return std::nullopt;
}

std::optional<std::vector<int>> parse_cpu_list(std::string_view text) {
  text = trim(text);
  std::vector<int> cpus;
  if (text.empty()) return cpus;
  for (const std::string& piece : split(text, ',')) {
    const std::size_t dash = piece.find('-');
    const auto first = parse_integer(std::string_view(piece).substr(0, dash));
    const auto last =
        dash == std::string::npos ? first : parse_integer(std::string_view(piece).substr(dash + 1));
    if (!first || !last || *first < 0 || *last > kMaxCpu || *last < *first) return std::nullopt;
    if (cpus.size() > kMaxNames) return std::nullopt;
    for (std::int64_t cpu = *first; cpu <= *last; ++cpu) cpus.push_back(static_cast<int>(cpu));
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

}  // namespace caravan::device
