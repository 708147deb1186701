// Sizes and times as people write and read them.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace caravan {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

/// A number of bytes. Never a bare integer in an interface, so that nobody mixes it up with MiB or a count.
struct Bytes {
  std::uint64_t count = 0;

  auto operator<=>(const Bytes&) const = default;
  Bytes& operator+=(Bytes other) {
    count += other.count;
    return *this;
  }
  friend Bytes operator+(Bytes a, Bytes b) { return a += b; }
};

constexpr Bytes mebibytes(std::uint64_t n) { return Bytes{n << 20U}; }

/// "600M", "1.5G", "4096", "64KiB": powers of 1024, case ignored. Code::invalid for anything else or 2^63 and
/// more.
Result<Bytes> parse_bytes(std::string_view text);

/// Three significant digits and a unit, powers of 1024: "93.8 MiB", "1.50 GiB", "512 B".
std::string format_bytes(Bytes bytes);

/// Tokens a second for people, without the unit: "9.1", "123".
std::string format_token_rate(double tokens_per_second);

/// "0.4 s", "12 s", "3 min 05 s", "2 h 10 min".
std::string format_duration(std::chrono::duration<double> seconds);

}  // namespace caravan
