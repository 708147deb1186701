#include "trace/timeline.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <utility>

namespace caravan::trace {
namespace {

constexpr std::array<std::string_view, kKinds> kNames{"compute", "wire", "wait", "send", "load"};
/// A span whose run is not the next one that was said: so many later ones are looked at.
constexpr std::size_t kLookAhead = 64;

struct Interval {
  Nanoseconds begin = 0;
  Nanoseconds end = 0;
};

/// A span on the master's clock, and what step it belongs to.
struct Placed {
  Doing doing = Doing::compute;
  Interval time;
  std::uint64_t detail = 0;
  std::uint32_t step = kNoStep;
};

/// What a stage did, still as it said it.
using PlacedSpans = std::vector<Placed>;

std::vector<Run> runs_of(const Recording& recording, std::size_t stage) {
  std::vector<Run> runs;
  for (const Run& run : recording.runs) {
    if (run.stage == stage) runs.push_back(run);
  }
  return runs;
}

/// A worker does one thing at a time and tells in order. What a broken one tells is cut until it is so.
PlacedSpans place(const StageRecord& stage, const ClockFit& clock) {
  PlacedSpans placed;
  placed.reserve(stage.spans.size());
  Nanoseconds done = std::numeric_limits<Nanoseconds>::min();
  for (const Span& span : stage.spans) {
    const Nanoseconds begin = std::max(clock.on_master(span.begin), done);
    const Nanoseconds end = std::max(clock.on_master(span.end), begin);
    placed.push_back({span.doing, {begin, end}, span.detail, kNoStep});
    done = end;
  }
  return placed;
}

/// Runs and their spans come in the same order. What a worker waited for and stored belongs to the run that
/// follows, what it sent to the one before.
void find_steps(PlacedSpans& spans, const std::vector<Run>& runs) {
  std::size_t next = 0;
  std::size_t unclaimed = 0;
  std::uint32_t current = kNoStep;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    Placed& span = spans[i];
    if (span.doing == Doing::send) span.step = current;
    if (span.doing != Doing::compute) continue;
    const std::size_t last = std::min(runs.size(), next + kLookAhead);
    std::size_t found = next;
    while (found < last && runs[found].graph != span.detail) ++found;
    if (found == last) continue;
    next = found + 1;
    current = runs[found].step;
    for (; unclaimed <= i; ++unclaimed) {
      if (spans[unclaimed].doing != Doing::send) spans[unclaimed].step = current;
    }
  }
}

/// When each step's part left the stage.
std::map<std::uint32_t, Nanoseconds> all_left(const PlacedSpans& spans) {
  std::map<std::uint32_t, Nanoseconds> when;
  for (const Placed& span : spans) {
    if (span.step != kNoStep && (span.doing == Doing::compute || span.doing == Doing::send))
      when[span.step] = span.time.end;
  }
  return when;
}

/// When it began to send what: bytes are there before the system has taken the last of them.
std::map<std::uint64_t, Nanoseconds> sent_by(const PlacedSpans& spans) {
  std::map<std::uint64_t, Nanoseconds> when;
  for (const Placed& span : spans) {
    if (span.doing == Doing::send) when[span.detail] = span.time.begin;
  }
  return when;
}

/// A step's input on its way to a stage.
struct Travel {
  Interval time;
  std::uint32_t step = kNoStep;
};

/// To the first stage: from when its graph was said until it begins.
std::vector<Travel> from_master(const PlacedSpans& spans, const std::vector<Run>& runs) {
  std::map<std::uint32_t, Nanoseconds> said;
  for (const Run& run : runs) said.emplace(run.step, run.at);
  std::vector<Travel> all;
  for (const Placed& span : spans) {
    if (span.doing != Doing::compute || !said.contains(span.step)) continue;
    all.push_back({{said[span.step], span.time.begin}, span.step});
    said.erase(span.step);
  }
  return all;
}

/// To a later stage: from when the one before begins to send it until it is there. Where the master hands on,
/// from when the one before had computed it until this one begins.
std::vector<Travel> from_stage(const PlacedSpans& spans, const PlacedSpans& before) {
  const auto sent = sent_by(before);
  auto done = all_left(before);
  std::vector<Travel> all;
  for (const Placed& span : spans) {
    if (span.step == kNoStep) continue;
    if (span.doing == Doing::wait_peer) {
      if (const auto when = sent.find(span.detail); when != sent.end())
        all.push_back({{when->second, span.time.end}, span.step});
      done.erase(span.step);
    } else if (span.doing == Doing::compute) {
      if (const auto when = done.find(span.step); when != done.end())
        all.push_back({{when->second, span.time.begin}, span.step});
      done.erase(span.step);
    }
  }
  return all;
}

std::optional<Kind> kind_of(Doing doing) {
  if (doing == Doing::compute) return Kind::compute;
  if (doing == Doing::send) return Kind::send;
  if (doing == Doing::load) return Kind::load;
  return {};
}

/// Fills lanes: what is busy as it is, what lies between as wire or wait.
class LaneWriter {
 public:
  LaneWriter(Lane& lane, std::vector<Travel> travels) : lane_(lane), travels_(std::move(travels)) {
    std::ranges::stable_sort(travels_, {}, [](const Travel& travel) { return travel.time.begin; });
  }

  void busy(Kind kind, Interval time, std::uint32_t step) {
    idle_until(time.begin, step);
    add(kind, {std::max(time.begin, at_), time.end}, step);
  }
  void idle_until(Nanoseconds end, std::uint32_t step) {
    while (next_ < travels_.size() && travels_[next_].time.begin < end) {
      const Travel& travel = travels_[next_];
      add(Kind::wait, {at_, std::min(travel.time.begin, end)}, step);
      add(Kind::wire, {std::max(at_, travel.time.begin), std::min(travel.time.end, end)}, travel.step);
      if (travel.time.end > end) break;  // it goes on behind what is busy now
      ++next_;
    }
    add(Kind::wait, {at_, end}, step);
  }

 private:
  void add(Kind kind, Interval time, std::uint32_t step) {
    if (time.end <= time.begin || time.end <= at_) return;
    lane_.pieces.push_back({kind, std::max(time.begin, at_), time.end, step});
    at_ = time.end;
  }

  Lane& lane_;
  std::vector<Travel> travels_;
  std::size_t next_ = 0;
  Nanoseconds at_ = 0;
};

void fill(Lane& lane, const PlacedSpans& spans, std::vector<Travel> travels, Nanoseconds length) {
  LaneWriter writer(lane, std::move(travels));
  for (const Placed& span : spans) {
    const auto kind = kind_of(span.doing);
    if (kind) writer.busy(*kind, span.time, span.step);
  }
  writer.idle_until(length, kNoStep);
}

std::vector<StepTimes> times_of(const Recording& recording, const std::vector<PlacedSpans>& spans) {
  std::vector<StepTimes> steps;
  steps.reserve(recording.steps.size());
  for (const Step& step : recording.steps) {
    const bool is_decode = step.rows <= recording.decode_rows;
    steps.push_back({step.begin, step.begin, 0, step.rows, is_decode, !spans.empty()});
  }
  for (const PlacedSpans& stage : spans) {
    std::vector<bool> has(steps.size(), false);
    for (const auto& [step, when] : all_left(stage)) {
      has[step] = true;
      steps[step].end = std::max(steps[step].end, when);
    }
    for (std::size_t i = 0; i < steps.size(); ++i) steps[i].is_whole = steps[i].is_whole && has[i];
  }
  // What the master saw needs no other clock.
  std::vector<Nanoseconds> seen(steps.size(), 0);
  for (const Wait& wait : recording.waits) seen[wait.step] = std::max(seen[wait.step], wait.end);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    StepTimes& step = steps[i];
    if (seen[i] > 0) step.end = std::max(step.begin, seen[i]);
    const bool leads_on = i + 1 < steps.size() && (steps[i + 1].is_decode || !step.is_decode);
    step.period = (leads_on ? std::max(steps[i + 1].begin, step.begin) : step.end) - step.begin;
  }
  return steps;
}

/// From a step's last stage back to the master; between a result and the next step the master is busy.
void fill_master(Lane& lane, const std::vector<StepTimes>& steps, const PlacedSpans& last,
                 Nanoseconds length) {
  const auto done = all_left(last);
  std::vector<Travel> back;
  for (const auto& [step, when] : done) {
    if (steps[step].end > when) back.push_back({{when, steps[step].end}, step});
  }
  LaneWriter writer(lane, std::move(back));
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Nanoseconds next = steps[i].begin + steps[i].period;
    if (next > steps[i].end) writer.busy(Kind::compute, {steps[i].end, next}, static_cast<std::uint32_t>(i));
  }
  writer.idle_until(length, kNoStep);
}

}  // namespace

std::string_view name_of(Kind kind) { return kNames[static_cast<std::size_t>(kind)]; }

Timeline lay_out(const Recording& recording) {
  Timeline timeline;
  timeline.length = recording.length;
  timeline.master.name = "master";
  std::vector<PlacedSpans> spans;
  std::vector<std::vector<Run>> runs;
  const std::size_t count = recording.stages.size();
  spans.reserve(count);
  runs.reserve(count);
  timeline.stages.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const StageRecord& stage = recording.stages[i];
    const auto clock = fit_clock(stage.clock, recording.length);
    timeline.stages.push_back({stage.name, clock.value_or(ClockFit{}), clock.has_value(), stage.dropped, {}});
    spans.push_back(clock ? place(stage, *clock) : PlacedSpans{});
    runs.push_back(runs_of(recording, i));
    find_steps(spans[i], runs[i]);
  }
  timeline.steps = times_of(recording, spans);
  for (std::size_t i = 0; i < count; ++i) {
    auto travels = i == 0 ? from_master(spans[i], runs[i]) : from_stage(spans[i], spans[i - 1]);
    fill(timeline.stages[i], spans[i], std::move(travels), recording.length);
  }
  if (count > 0) fill_master(timeline.master, timeline.steps, spans.back(), recording.length);
  return timeline;
}

}  // namespace caravan::trace
