// What `caravan calibrate` reads: lines of the child that measures, and the file that is kept. What is
// accepted must survive the way back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "device/speed.h"
#include "device/speed_estimate.h"
#include "engine/kernel_lines.h"

namespace {

using namespace caravan;

/// Estimates of whatever was accepted are numbers or nothing.
void estimate(const device::Speed& speed) {
  const device::TokenWork work = device::one_billion_q4_k_m();
  for (const int threads : speed.threads) {
    const auto decode = device::estimate_decode(speed, work, threads, 512);
    if (decode && !(decode->total().count() >= 0)) std::abort();
    const auto prefill = device::estimate_prefill(speed, work, threads, 512);
    if (prefill && !(prefill->total().count() >= 0)) std::abort();
  }
  (void)device::best_decode_threads(speed, work);
}

void read_speed(std::string_view text) {
  const auto json = parse_json(text, 1U << 20U);
  if (!json) return;
  const auto speed = device::speed_from_json(*json);
  if (!speed) return;
  estimate(*speed);
  const auto written = parse_json(dump_json(device::to_json(*speed)), 1U << 22U);
  const auto again = written ? device::speed_from_json(*written) : Result<device::Speed>(written.error());
  if (!again || again->measurements.size() != speed->measurements.size() || again->threads != speed->threads)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_speed(text);
  if (const auto line = engine::parse_kernel_line(text)) {
    const auto again = engine::parse_kernel_line(engine::to_text(*line));
    if (!again || again->index() != line->index()) std::abort();
  }
  return 0;
}
