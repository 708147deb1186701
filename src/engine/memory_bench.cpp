// Reads memory as fast as this processor can: the ceiling that decode rates are held against. Declared in
// kernel_bench.h; without the engine.
#include <cstdint>
#include <limits>
#include <new>
#include <thread>
#include <vector>

#include "engine/kernel_bench.h"
#include "engine/kernel_timing.h"

namespace caravan::engine {
namespace {

/// Eight sums side by side: loads do not wait for each other.
std::uint64_t read_all(const std::uint64_t* words, std::size_t count) {
  constexpr std::size_t kLanes = 8;
  std::uint64_t sums[kLanes] = {};
  for (std::size_t i = 0; i + kLanes <= count; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += words[i + lane];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

Result<Measurement> measure_memory(Bytes pool, const Setting& setting) {
  const std::size_t parts = static_cast<std::size_t>(setting.threads);
  const std::size_t words_a_part = pool.count / sizeof(std::uint64_t) / parts;
  std::vector<std::uint64_t> words;
  try {
    words.assign(words_a_part * parts, 1);
  } catch (const std::bad_alloc&) {
    return Error{Code::exhausted, "not enough memory to read from", "close other programs"};
  }
  std::vector<std::uint64_t> sums(parts);
  const auto read_part = [&](std::size_t part) {
    sums[part] = read_all(words.data() + part * words_a_part, words_a_part);
  };
  const auto timing = time_passes(setting.threads, setting.slice, [&]() -> Result<void> {
    std::vector<std::thread> others;
    for (std::size_t part = 1; part < parts; ++part) others.emplace_back(read_part, part);
    read_part(0);
    for (std::thread& other : others) other.join();
    for (const std::uint64_t sum : sums) {  // also keeps the compiler from leaving the reading out
      if (sum != words_a_part - words_a_part % 8)
        return Error{Code::bug, "memory does not hold what was written", ""};
    }
    return {};
  });
  if (!timing) return timing.error();
  Measurement measurement;
  measurement.quantity = Quantity::memory;
  measurement.threads = setting.threads;
  measurement.rate = static_cast<double>(words.size() * sizeof(std::uint64_t)) / timing->seconds;
  measurement.touched = Bytes{words.size() * sizeof(std::uint64_t)};
  measurement.share = timing->share;
  return measurement;
}

}  // namespace caravan::engine
