#include "link/link_speed.h"

#include <algorithm>
#include <cmath>

namespace caravan::link {
namespace {

constexpr double kLongestRoundTrip = 3600;
constexpr double kMaxRate = 1e15;

}  // namespace

Json to_json(const LinkSpeed& speed) {
  return {{"round_trip_median_s", speed.round_trip_median.count()},
          {"round_trip_p95_s", speed.round_trip_p95.count()},
          {"upload_bytes_per_s", speed.upload},
          {"download_bytes_per_s", speed.download}};
}

Result<LinkSpeed> link_speed_from_json(const Json& value) {
  Fields fields(value, "link speed");
  const auto number = [&](const char* name, double most) {
    const double figure = fields.number(name);
    if (!std::isfinite(figure) || figure < 0 || figure > most) fields.fail(name, "is out of range");
    return figure;
  };
  LinkSpeed speed;
  speed.round_trip_median = Seconds(number("round_trip_median_s", kLongestRoundTrip));
  speed.round_trip_p95 = Seconds(number("round_trip_p95_s", kLongestRoundTrip));
  speed.upload = number("upload_bytes_per_s", kMaxRate);
  speed.download = number("download_bytes_per_s", kMaxRate);
  if (!fields.ok()) return fields.error();
  return speed;
}

Seconds percentile(std::vector<Seconds> samples, double part) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const double rank = std::ceil(std::clamp(part, 0.0, 1.0) * static_cast<double>(samples.size()));
  return samples[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

}  // namespace caravan::link
