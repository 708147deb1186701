#include "cli/wake_lock.h"

#include <algorithm>
#include <utility>

#include "app/device_system.h"
#include "cli/interrupt.h"
#include "device/android.h"
#include "doctor/android_checks.h"

namespace caravan::cli {
namespace {

constexpr std::chrono::seconds kLimit{10};

}  // namespace

WakeLock WakeLock::take(std::vector<fs::path> folders) {
  WakeLock lock(std::move(folders));
  const auto taken = app::run_helper(lock.folders_, {"termux-wake-lock"}, kLimit);
  lock.held_ = taken.ok();
  if (!taken && taken.error().code != Code::not_found) lock.error_ = taken.error();
  return lock;
}

WakeLock::WakeLock(WakeLock&& other) noexcept
    : folders_(std::move(other.folders_)),
      held_(std::exchange(other.held_, false)),
      error_(std::move(other.error_)) {}

WakeLock::~WakeLock() {
  if (!held_) return;
  const InterruptFlag later;
  (void)app::run_helper(folders_, {"termux-wake-unlock"}, kLimit);
}

std::vector<doctor::Diagnosis> worth_telling(std::vector<doctor::Diagnosis> diagnoses, bool wake_lock_held) {
  const auto is_nothing = [wake_lock_held](const doctor::Diagnosis& one) {
    const doctor::Status status = one.finding.status;
    return status == doctor::Status::ok || status == doctor::Status::skipped ||
           (wake_lock_held && one.name == "wake-lock");
  };
  diagnoses.erase(std::remove_if(diagnoses.begin(), diagnoses.end(), is_nothing), diagnoses.end());
  return diagnoses;
}

std::vector<doctor::Diagnosis> android_dangers(const device::SystemView& system, bool wake_lock_held) {
  if (!device::is_termux(system.root)) return {};
  const doctor::Step step = doctor::android_step(system, environment);
  std::vector<doctor::Finding> findings = step.run();
  std::vector<doctor::Diagnosis> diagnoses;
  for (std::size_t i = 0; i < findings.size(); ++i)
    diagnoses.push_back({std::string(step.checks.at(i).name), std::move(findings[i])});
  return worth_telling(std::move(diagnoses), wake_lock_held);
}

}  // namespace caravan::cli
