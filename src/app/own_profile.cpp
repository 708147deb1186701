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

SpeedNeed need_of_speed(const std::string& build_id, bool is_idle) {
  const auto speed = device::load_speed(device::speed_path());
  if (!speed) {
    const bool never = speed.error().code == Code::not_found;
    return {never ? "its speed was never measured" : speed.error().message};
  }
  const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  const device::ProcessorLimits limits = device::limits_of(device::read_cores());
  const auto reason = is_idle ? device::needs_refresh(*speed, build_id, limits, now)
                              : device::limits_changed(*speed, limits, now);
  return {reason.value_or(""), speed->quick};
}

}  // namespace caravan::app
