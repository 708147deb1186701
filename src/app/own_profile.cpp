#include "app/own_profile.h"

#include <chrono>
#include <utility>

#include "device/speed.h"
#include "device/speed_estimate.h"
#include "plan/profile.h"

namespace caravan::app {

Result<plan::DeviceProfile> own_profile(std::string name, Bytes memory) {
  const auto speed = device::load_speed(device::speed_path());
  if (!speed) return speed.error();
  const int threads = device::best_decode_threads(*speed, device::one_billion_q4_k_m());
  return plan::profile_from(std::move(name), memory, *speed, threads);
}

std::string why_calibrate(const std::string& engine_build) {
  const auto speed = device::load_speed(device::speed_path());
  if (!speed)
    return speed.error().code == Code::not_found ? "its speed was never measured" : speed.error().message;
  const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return device::needs_refresh(*speed, engine_build, now).value_or("");
}

}  // namespace caravan::app
