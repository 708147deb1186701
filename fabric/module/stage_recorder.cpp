#include "fabric/module/stage_recorder.h"

#include <algorithm>
#include <utility>

namespace caravan::fabric {
namespace {

/// Shorter ones are the time that a command takes out of the queue, many a token.
constexpr std::uint64_t kLeastIdle = 20'000;
constexpr std::uint64_t kLongest = std::uint64_t{3600} * 1'000'000'000;

trace::Nanoseconds between(Moment from, Moment to) {
  return std::max<trace::Nanoseconds>(
      0, std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count());
}

}  // namespace

StageRecorder::StageRecorder(std::string name, Moment began) : began_(began) {
  record_.name = std::move(name);
}

std::size_t StageRecorder::take(const Timeline& timeline, Moment asked, Moment answered, std::size_t room) {
  if (!has_base_) base_ = timeline.now_ns;
  has_base_ = true;
  record_.dropped += std::min<std::uint64_t>(timeline.dropped, kMaxTimelineEntries);
  const bool can_be = timeline.now_ns >= base_ && timeline.now_ns - base_ <= kLongest;
  if (can_be && record_.clock.size() < trace::kMaxSamples) {
    const auto there = static_cast<trace::Nanoseconds>(timeline.now_ns - base_);
    record_.clock.push_back(
        {between(began_, asked), std::max(between(began_, asked), between(began_, answered)), there});
  }
  const std::size_t before = record_.spans.size();
  for (const Span& span : timeline.spans) {
    if (record_.spans.size() - before >= room || !keep(span)) ++record_.dropped;
  }
  return record_.spans.size() - before;
}

/// False for what cannot be.
bool StageRecorder::keep(const Span& span) {
  if (span.begin_ns < base_ || span.end_ns - base_ > kLongest || span.detail >= (std::uint64_t{1} << 53U))
    return false;
  const bool is_idle = span.doing == Doing::wait_command || span.doing == Doing::load;
  if (is_idle && span.end_ns - span.begin_ns < kLeastIdle) return true;
  record_.spans.push_back({static_cast<trace::Doing>(span.doing),
                           static_cast<trace::Nanoseconds>(span.begin_ns - base_),
                           static_cast<trace::Nanoseconds>(span.end_ns - base_), span.detail});
  return true;
}

}  // namespace caravan::fabric
