// Termux's wake lock: keeps the processor of a phone awake while its screen is off. And which of Android's
// settings still endanger a node.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "device/system_view.h"
#include "doctor/finding.h"

namespace caravan::cli {

/// Held until destruction, which gives it back. Taking and giving back each run a program of Termux: they
/// block, at most 10 seconds. Whoever takes it holds an InterruptFlag, so that Ctrl-C does not leave it
/// taken.
class WakeLock {
 public:
  /// `folders` are searched for termux-wake-lock. Without that program there is nothing to hold and
  /// nothing is wrong.
  static WakeLock take(std::vector<fs::path> folders);
  WakeLock(WakeLock&& other) noexcept;
  WakeLock& operator=(WakeLock&&) = delete;
  ~WakeLock();

  bool held() const { return held_; }
  /// Why it is not held although there is such a program.
  const std::optional<Error>& error() const { return error_; }

 private:
  explicit WakeLock(std::vector<fs::path> folders) : folders_(std::move(folders)) {}
  std::vector<fs::path> folders_;
  bool held_ = false;
  std::optional<Error> error_;
};

/// Those that a person should hear about. The check of the wake lock says nothing new when it is held. Pure.
std::vector<doctor::Diagnosis> worth_telling(std::vector<doctor::Diagnosis> diagnoses, bool wake_lock_held);

/// What the doctor says about Android here; nothing outside of Termux. Blocks for some seconds.
std::vector<doctor::Diagnosis> android_dangers(const device::SystemView& system, bool wake_lock_held);

}  // namespace caravan::cli
