#include "trace/summary.h"

#include <algorithm>

namespace caravan::trace {
namespace {

constexpr double kNanosecondsInMs = 1e6;

double ms_of(Nanoseconds time) { return static_cast<double>(time) / kNanosecondsInMs; }

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// Milliseconds of each kind of a lane that lie in [begin, end).
std::array<double, kKinds> times_in(const Lane& lane, Nanoseconds begin, Nanoseconds end) {
  std::array<double, kKinds> ms{};
  auto piece =
      std::ranges::partition_point(lane.pieces, [begin](const Piece& one) { return one.end <= begin; });
  for (; piece != lane.pieces.end() && piece->begin < end; ++piece) {
    ms[static_cast<std::size_t>(piece->kind)] +=
        ms_of(std::min(piece->end, end) - std::max(piece->begin, begin));
  }
  return ms;
}

LaneSummary summarize_lane(const Lane& lane, const std::vector<StepTimes>& tokens, double token_ms) {
  LaneSummary summary;
  summary.name = lane.name;
  std::array<std::vector<double>, kKinds> all;
  for (auto& values : all) values.reserve(tokens.size());
  for (const StepTimes& token : tokens) {
    const auto ms = times_in(lane, token.begin, token.begin + token.period);
    for (std::size_t kind = 0; kind < kKinds; ++kind) all[kind].push_back(ms[kind]);
  }
  for (std::size_t kind = 0; kind < kKinds; ++kind) summary.ms[kind] = median(std::move(all[kind]));
  if (token_ms > 0) summary.share = summary.ms[static_cast<std::size_t>(Kind::compute)] / token_ms;
  return summary;
}

double compute_ms(const Lane& lane, const StepTimes& token) {
  const auto ms = times_in(lane, token.begin, token.begin + token.period);
  return ms[static_cast<std::size_t>(Kind::compute)];
}

/// Stages compute one after the other in a token; where they do not (split tensors), at least nothing.
double between_ms(const Timeline& timeline, const std::vector<StepTimes>& tokens) {
  std::vector<double> all;
  all.reserve(tokens.size());
  for (const StepTimes& token : tokens) {
    double rest = ms_of(token.period) - compute_ms(timeline.master, token);
    for (const Lane& stage : timeline.stages) rest -= compute_ms(stage, token);
    all.push_back(std::max(0.0, rest));
  }
  return median(std::move(all));
}

void add_prompts(Summary& summary, const std::vector<StepTimes>& steps) {
  Nanoseconds began = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const StepTimes& step = steps[i];
    if (step.is_decode) continue;
    const bool is_first = i == 0 || steps[i - 1].is_decode;
    const bool is_last = i + 1 == steps.size() || steps[i + 1].is_decode;
    if (is_first) began = step.begin;
    if (is_last) summary.prompt_ms += ms_of(std::max(step.end, began) - began);
    ++summary.prompt_parts;
    summary.prompt_tokens += step.rows;
  }
}

}  // namespace

Summary summarize(const Timeline& timeline) {
  std::vector<StepTimes> tokens;
  std::vector<double> periods;
  for (const StepTimes& step : timeline.steps) {
    if (!step.is_decode || !step.is_whole) continue;
    tokens.push_back(step);
    periods.push_back(ms_of(step.period));
  }
  Summary summary;
  summary.tokens = tokens.size();
  summary.token_ms = median(std::move(periods));
  summary.between_ms = between_ms(timeline, tokens);
  add_prompts(summary, timeline.steps);
  summary.master = summarize_lane(timeline.master, tokens, summary.token_ms);
  summary.stages.reserve(timeline.stages.size());
  for (const Lane& lane : timeline.stages) {
    summary.stages.push_back(summarize_lane(lane, tokens, summary.token_ms));
    if (lane.is_placed) summary.stages.back().clock_ms = ms_of(lane.clock.uncertainty);
    summary.dropped += lane.dropped;
  }
  return summary;
}

}  // namespace caravan::trace
