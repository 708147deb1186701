#include "device/speed.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace caravan::device {
namespace {

constexpr Bytes kMaxFile = mebibytes(1);
constexpr std::size_t kMaxMeasurements = 1000;
constexpr std::size_t kMaxNameLength = 200;
constexpr std::size_t kMaxThreadCounts = 64;
constexpr const char* kCure = "`caravan calibrate` measures again and replaces the file";

std::vector<int> read_threads(Fields& fields, const Json& value) {
  std::vector<int> threads;
  const auto found = value.find("threads");
  if (found == value.end() || !found->is_array() || found->size() > kMaxThreadCounts) {
    fields.fail("threads", "must be a short list of whole numbers");
    return threads;
  }
  for (const Json& item : *found) {
    const bool fits = item.is_number_unsigned() && item.get<std::uint64_t>() <= 4096;
    const int count = fits ? item.get<int>() : 0;
    if (count <= (threads.empty() ? 0 : threads.back())) {
      fields.fail("threads", "must be numbers from 1 to 4096, ascending");
      return {};
    }
    threads.push_back(count);
  }
  return threads;
}

std::vector<Measurement> read_measurements(Fields& fields) {
  std::vector<Measurement> measurements;
  const std::vector<Json> list = fields.list("measurements");
  if (list.size() > kMaxMeasurements) fields.fail("measurements", "must be at most 1000");
  for (const Json& item : list) {
    if (!fields.ok()) break;
    auto measurement = measurement_from_json(item);
    if (measurement) {
      measurements.push_back(std::move(*measurement));
    } else {
      fields.fail(measurement.error());
    }
  }
  return measurements;
}

/// Checked before anything else: a newer version may have any fields.
Result<void> check_version(const Json& value) {
  Fields fields(value, "speed");
  const int version = fields.small("version");
  if (!fields.ok()) return fields.error();
  if (version > kSpeedVersion) {
    return Error{Code::incompatible,
                 fmt::format("it is of version {}, this program knows {}: a newer Caravan wrote it", version,
                             kSpeedVersion),
                 kCure};
  }
  return {};
}

bool usable(double figure) { return std::isfinite(figure) && figure > 0; }

bool differ(double a, double b) { return std::abs(a - b) > kNoticeable * std::max(a, b); }

/// What there is, whatever it is that limits it.
double worth(int cpus, std::optional<double> quota) {
  return std::min(static_cast<double>(cpus), quota.value_or(cpus));
}

std::string cores(int count) { return fmt::format("{} core{}", count, count == 1 ? "" : "s"); }

}  // namespace

std::optional<double> Speed::rate(Quantity quantity, std::string_view type, bool plain, int thread_count,
                                  int columns) const {
  for (const Measurement& measurement : measurements) {
    const bool fits = measurement.quantity == quantity && measurement.type == type &&
                      measurement.plain() == plain && measurement.threads == thread_count &&
                      measurement.columns == columns;
    if (fits) return measurement.rate;
  }
  return std::nullopt;
}

Json to_json(const Speed& speed) {
  Json measurements = Json::array();
  for (const Measurement& measurement : speed.measurements)
    measurements.push_back(caravan::to_json(measurement));
  return {{"version", kSpeedVersion},
          {"engine_build", speed.engine_build},
          {"ggml", speed.ggml},
          {"measured_at", speed.measured_at.time_since_epoch().count()},
          {"temperature", speed.temperature ? Json(*speed.temperature) : Json()},
          {"cpu_quota", speed.cpu_quota ? Json(*speed.cpu_quota) : Json()},
          {"usable_cpus", speed.usable_cpus},
          {"usual_threads", speed.usual_threads},
          {"departed", speed.departed},
          {"quick", speed.quick},
          {"threads", speed.threads},
          {"measurements", std::move(measurements)}};
}

Result<Speed> speed_from_json(const Json& value) {
  if (auto known = check_version(value); !known) return known.error();
  Fields fields(value, "speed");
  Speed speed;
  speed.engine_build = fields.text("engine_build");
  speed.ggml = fields.text("ggml");
  speed.measured_at = WallTime(std::chrono::seconds(fields.whole("measured_at")));
  const auto number_or_nothing = [&](std::string_view name) -> std::optional<double> {
    const auto found = value.find(name);
    if (found == value.end() || found->is_null()) return std::nullopt;
    return fields.number(name);
  };
  speed.temperature = number_or_nothing("temperature");
  speed.cpu_quota = number_or_nothing("cpu_quota");
  if (speed.cpu_quota && !usable(*speed.cpu_quota)) fields.fail("cpu_quota", "must be more than 0");
  speed.usable_cpus = fields.small_or("usable_cpus", 0);
  speed.usual_threads = fields.small_or("usual_threads", 0);
  speed.departed = fields.flag_or("departed", false);
  speed.quick = fields.flag_or("quick", false);
  speed.threads = read_threads(fields, value);
  speed.measurements = read_measurements(fields);
  if (speed.engine_build.size() > kMaxNameLength) fields.fail("engine_build", "is too long");
  if (speed.ggml.size() > kMaxNameLength) fields.fail("ggml", "is too long");
  if (!fields.ok()) return fields.error();
  return speed;
}

fs::path speed_path() { return caravan_home() / "speed.json"; }

Result<Speed> load_speed(const fs::path& path) {
  const auto text = read_file(path, kMaxFile);
  if (!text && text.error().code == Code::not_found) {
    return Error{Code::not_found, "this device's speed was not measured yet",
                 "`caravan calibrate` measures it"};
  }
  if (!text) return text.error();
  const auto parsed = parse_json(*text, kMaxFile.count);
  auto speed = parsed ? speed_from_json(*parsed) : Result<Speed>(parsed.error());
  if (speed) return speed;
  Error error = with_context(speed.error(), for_people(path));
  error.hint = kCure;
  return error;
}

Result<void> save_speed(const fs::path& path, const Speed& speed) {
  if (auto made = make_private_folder(path.parent_path()); !made) return made.error();
  return write_file_atomically(path, to_json(speed).dump(1) + "\n");
}

double least_share(const Speed& speed) {
  double least = 1;
  for (const Measurement& measurement : speed.measurements) least = std::min(least, measurement.share);
  return least;
}

ProcessorLimits limits_of(const CoreFacts& cores) {
  return {static_cast<int>(cores.allowed.size()), cores.cpu_quota, cores.decode.count};
}

std::optional<std::string> limits_changed(const Speed& speed, const ProcessorLimits& limits, WallTime now) {
  const int before = speed.usable_cpus;
  if (before == 0 || limits.usable_cpus == 0 || now < speed.measured_at + kLimitsAge) return std::nullopt;
  if (differ(before, limits.usable_cpus))
    return fmt::format("it was measured when {} could be used, now there are {}", cores(before),
                       limits.usable_cpus);
  const double worth_before = worth(before, speed.cpu_quota);
  const double worth_now = worth(limits.usable_cpus, limits.cpu_quota);
  if (differ(worth_before, worth_now))
    return fmt::format("it was measured when {:.1f} cores' worth of time could be used, now {:.1f} can",
                       worth_before, worth_now);
  if (speed.usual_threads > 0 && limits.usual_threads > 0 && speed.usual_threads != limits.usual_threads)
    return fmt::format("it was measured when {} threads were best for this processor, now {} are",
                       speed.usual_threads, limits.usual_threads);
  return std::nullopt;
}

std::optional<std::string> needs_refresh(const Speed& speed, std::string_view engine_build,
                                         const ProcessorLimits& limits, WallTime now) {
  if (speed.engine_build != engine_build) {
    return fmt::format("it was measured with engine {}, this one is {}", speed.engine_build, engine_build);
  }
  if (speed.measured_at > now + std::chrono::hours(24)) return "its date is in the future";
  if (auto changed = limits_changed(speed, limits, now)) return changed;
  const auto age = std::chrono::duration_cast<std::chrono::hours>(now - speed.measured_at);
  if (age > kSpeedAge) return fmt::format("it is {} days old", age.count() / 24);
  if (age >= kDisturbedAge && least_share(speed) < kDisturbedShare) {
    return "other programs were busy while it was measured";
  }
  if (speed.departed && age >= kDepartedAge)
    return "it was measured because answers were not as planned, more than a day ago";
  return std::nullopt;
}

bool SpeedWatch::departs(double measured, double predicted) {
  if (!usable(measured) || !usable(predicted)) return false;
  slower_ = measured < predicted * (1 - limits_.departure) ? slower_ + 1 : 0;
  faster_ = measured > predicted * (1 + limits_.departure) ? faster_ + 1 : 0;
  if (slower_ < limits_.answers && faster_ < limits_.answers) return false;
  slower_ = faster_ = 0;
  return true;
}

}  // namespace caravan::device
