#include "fabric/module/trace_log.h"

#include <algorithm>

namespace caravan::fabric {

void TraceLog::begin(Moment now, std::uint32_t decode_rows) {
  const std::lock_guard guard(lock_);
  so_far_ = {};
  so_far_.decode_rows = decode_rows;
  began_ = now;
  last_stage_ = 0;
  has_waited_ = false;
  full_ = false;
  on_ = true;
}

/// The scheduler goes through the stages in order, with one graph or more for each.
bool TraceLog::begins_a_step(std::size_t stage, bool is_split) const {
  if (so_far_.steps.empty()) return true;
  if (is_split) return stage == 0 && has_waited_;
  return stage == 0 && (last_stage_ != 0 || stages_ == 1);
}

trace::Nanoseconds TraceLog::since_begin(Moment moment) const {
  return std::max<trace::Nanoseconds>(
      0, std::chrono::duration_cast<std::chrono::nanoseconds>(moment - began_).count());
}

void TraceLog::said(std::size_t stage, std::uint64_t graph, std::uint32_t rows, Moment now, bool is_split) {
  const std::lock_guard guard(lock_);
  if (!on_ || (so_far_.steps.empty() && stage != 0)) return;
  const bool is_new = begins_a_step(stage, is_split);
  full_ =
      full_ || so_far_.runs.size() >= trace::kMaxRuns || (is_new && so_far_.steps.size() >= trace::kMaxSteps);
  if (full_) return;
  const auto at = since_begin(now);
  if (is_new) so_far_.steps.push_back({at, rows});
  last_stage_ = stage;
  if (stage == 0) has_waited_ = false;
  const auto step = static_cast<std::uint32_t>(so_far_.steps.size() - 1);
  so_far_.runs.push_back({step, static_cast<std::uint32_t>(stage), graph, at});
}

void TraceLog::waited(std::size_t stage, Moment from, Moment to) {
  const std::lock_guard guard(lock_);
  if (!on_ || so_far_.steps.empty()) return;
  full_ = full_ || so_far_.waits.size() >= trace::kMaxRuns;
  if (full_) return;
  const auto step = static_cast<std::uint32_t>(so_far_.steps.size() - 1);
  has_waited_ = true;
  const auto begin = since_begin(from);
  so_far_.waits.push_back({step, static_cast<std::uint32_t>(stage), begin, std::max(begin, since_begin(to))});
}

int TraceLog::tokens() const {
  const std::lock_guard guard(lock_);
  const auto is_token = [&](const trace::Step& step) { return step.rows <= so_far_.decode_rows; };
  auto count = std::ranges::count_if(so_far_.steps, is_token);
  const bool last_is_out = !so_far_.steps.empty() && is_token(so_far_.steps.back()) &&
                           (so_far_.waits.empty() || so_far_.waits.back().step + 1 < so_far_.steps.size());
  if (last_is_out) --count;
  return static_cast<int>(count);
}

bool TraceLog::full() const {
  const std::lock_guard guard(lock_);
  return full_;
}

trace::Recording TraceLog::recording(Moment now) const {
  const std::lock_guard guard(lock_);
  trace::Recording recording = so_far_;
  recording.length = since_begin(now);
  return recording;
}

}  // namespace caravan::fabric
