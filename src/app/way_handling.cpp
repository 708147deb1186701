#include "app/way_handling.h"

#include <algorithm>

#include "base/json_look.h"
#include "plan/cluster.h"
#include "trace/recording.h"
#include "trace/summary.h"

namespace caravan::app {
namespace {

constexpr std::size_t kLeastTokens = 4;
constexpr double kMsInSecond = 1000;
constexpr int kVersion = 1;
constexpr std::uint64_t kMostBytes = 4096;

}  // namespace

std::optional<double> time_between(std::string_view recording) {
  const auto json = parse_json(recording, trace::kMaxRecordingBytes);
  if (!json) return std::nullopt;
  const auto read = trace::recording_from_json(*json);
  if (!read) return std::nullopt;
  const trace::Timeline timeline = trace::lay_out(*read);
  const bool all_placed = std::ranges::all_of(timeline.stages, &trace::Lane::is_placed);
  const trace::Summary summary = trace::summarize(timeline);
  if (!all_placed || summary.tokens < kLeastTokens) return std::nullopt;
  return summary.between_ms / kMsInSecond;
}

std::optional<double> handling_of(double between, const Json& deployments, const std::string& model,
                                  const std::string& master) {
  for (const Json& deployment : part_of(deployments, "deployments")) {
    if (text_in(deployment, "model") != model) continue;
    for (const Json& replica : part_of(deployment, "replicas")) {
      const Json& shares = part_of(replica, "shares");
      const double air = number_in(part_of(replica, "predicted"), "air_ms") / kMsInSecond;
      if (shares.size() < 2 || text_in(shares.front(), "device") != master || air <= 0) continue;
      // As many ways as devices: on to each worker, and back.
      const double each = (between - air) / static_cast<double>(shares.size());
      return std::clamp(each, 0.0, plan::kMostHandling);
    }
  }
  return std::nullopt;
}

std::optional<double> load_handling(const fs::path& file) {
  const auto text = read_file(file, Bytes{kMostBytes});
  if (!text) return std::nullopt;
  const auto json = parse_json(*text, kMostBytes);
  if (!json || number_in(*json, "version") != kVersion) return std::nullopt;
  const auto seconds = maybe_number_in(*json, "seconds");
  const bool is_sound = seconds && *seconds >= 0 && *seconds <= plan::kMostHandling;
  return is_sound ? seconds : std::nullopt;
}

Result<void> save_handling(const fs::path& file, double seconds) {
  return write_file_atomically(file, dump_json({{"version", kVersion}, {"seconds", seconds}}) + "\n");
}

}  // namespace caravan::app
