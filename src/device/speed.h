// How fast a device runs the engine's kernels: what was measured, kept on disk, and when it has to be
// measured again. Pure, except for load_speed and save_speed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "base/measurement.h"
#include "base/result.h"
#include "device/cores.h"

namespace caravan::device {

using WallTime = std::chrono::sys_seconds;

inline constexpr int kSpeedVersion = 1;

struct Speed {
  std::string engine_build;           ///< the build id of the engine that was measured
  std::string ggml;                   ///< its ggml's version
  WallTime measured_at{};             ///< UTC
  std::optional<double> temperature;  ///< of the battery or processor when it began, in degrees Celsius
  /// CPUs' worth of time that a control group allowed. Rates of one thread count processor time, so that
  /// other programs do not disturb them: where less than one CPU is allowed, only that part of them is
  /// reached.
  std::optional<double> cpu_quota;
  int usable_cpus = 0;    ///< that it might run on; 0: not kept, as in older files
  int usual_threads = 0;  ///< of them to generate text with, see decode_threads; 0: not kept
  bool departed = false;  ///< measured because answers were not as planned: it may be slow for a while only
  bool quick = false;     ///< measured in short: less exact, and without the rarer types
  std::vector<int> threads;  ///< the counts that were tried, ascending
  std::vector<Measurement> measurements;

  /// The measured rate for exactly that; nothing when it was not measured.
  std::optional<double> rate(Quantity quantity, std::string_view type, bool plain, int threads,
                             int columns) const;
};

Json to_json(const Speed& speed);
/// Code::invalid with the field that is wrong; Code::incompatible for a newer version.
Result<Speed> speed_from_json(const Json& value);

/// `speed.json` of Caravan's folder. Both block for one small file.
fs::path speed_path();
/// Code::not_found when nothing was measured yet; Code::invalid or Code::incompatible for a file that cannot
/// be used, with the cure: measuring again replaces it.
Result<Speed> load_speed(const fs::path& path);
Result<void> save_speed(const fs::path& path, const Speed& speed);

/// The least part of the processor that any measurement had for itself, see Measurement::share; 1 without
/// any.
double least_share(const Speed& speed);
/// Below it others were so busy that rates of several threads may be far too low: one that waits stops all.
inline constexpr double kDisturbedShare = 0.85;

/// How much of the processor may be used: it decides how fast the device is as much as what it is made of.
struct ProcessorLimits {
  int usable_cpus = 0;              ///< by affinity and cpuset; 0: the system does not tell
  std::optional<double> cpu_quota;  ///< CPUs' worth of time; nothing: no limit is seen
  int usual_threads = 0;
};
ProcessorLimits limits_of(const CoreFacts& cores);

/// What is different by more than kNoticeable from what was in force when it was measured, as a sentence;
/// nothing when nothing is, when one of the two is not known, or while it is younger than kLimitsAge: what
/// comes and goes, as an app that is now in front and now behind, is not run after.
inline constexpr double kNoticeable = 0.10;
inline constexpr std::chrono::minutes kLimitsAge{10};
std::optional<std::string> limits_changed(const Speed& speed, const ProcessorLimits& limits, WallTime now);

/// Why it has to be measured again, as a sentence for people; nothing when it is good. Reasons: another
/// engine, limits_changed, older than kSpeedAge, disturbed and older than kDisturbedAge, departed and older
/// than kDepartedAge, a date in the future.
inline constexpr std::chrono::hours kSpeedAge{24 * 90};
inline constexpr std::chrono::hours kDisturbedAge{1};
inline constexpr std::chrono::hours kDepartedAge{24};
std::optional<std::string> needs_refresh(const Speed& speed, std::string_view engine_build,
                                         const ProcessorLimits& limits, WallTime now);

/// Notices that a device no longer is as fast as what was measured says: each answer's speed against its
/// prediction.
class SpeedWatch {
 public:
  struct Limits {
    double departure = 0.20;  ///< of the prediction
    int answers = 5;          ///< in a row, all on the same side
  };

  SpeedWatch() = default;
  explicit SpeedWatch(Limits limits) : limits_(limits) {}

  /// Takes one answer in, in any unit as long as it is the same for both. True when it is time to measure
  /// again; it counts from zero then. Figures that are not above 0 and finite are ignored.
  bool departs(double measured, double predicted);

 private:
  Limits limits_;
  int slower_ = 0;
  int faster_ = 0;
};

}  // namespace caravan::device
