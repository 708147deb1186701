#include "trace/recording.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::trace {
namespace {

constexpr std::uint64_t kMostNumber = std::uint64_t{1} << 53U;  // what every reader of JSON keeps exactly
constexpr std::size_t kMostName = 128;
constexpr std::size_t kMostId = 64;

Error wrong(std::string_view where, std::string_view what) {
  return {Code::invalid, fmt::format("trace: {} {}", where, what),
          "module and command have to be of the same Caravan"};
}

std::optional<std::uint64_t> number_in(const Json& value) {
  if (!value.is_number_integer()) return {};
  if (!value.is_number_unsigned() && value.get<std::int64_t>() < 0) return {};
  const auto number = value.get<std::uint64_t>();
  return number <= kMostNumber ? std::optional(number) : std::nullopt;
}

/// Rows of `columns` numbers in the array `name`, at most `most` of them: `each` gets one after the other and
/// says whether it can be.
template <std::size_t columns, typename Each>
Result<void> read_rows(const Json& object, const std::string& name, std::size_t most, Each each) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return wrong(name, "has to be a list");
  if (found->size() > most) return wrong(name, fmt::format("has more than {} entries", most));
  for (const Json& row : *found) {
    if (!row.is_array() || row.size() != columns)
      return wrong(name, fmt::format("has an entry that is not {} numbers", columns));
    std::array<std::uint64_t, columns> numbers{};
    for (std::size_t i = 0; i < columns; ++i) {
      const auto number = number_in(row[i]);
      if (!number) return wrong(name, "has something that is no whole number up to 2^53");
      numbers[i] = *number;
    }
    if (!each(numbers)) return wrong(name, "has an entry that cannot be");
  }
  return {};
}

Nanoseconds time_of(std::uint64_t number) { return static_cast<Nanoseconds>(number); }

Result<void> read_steps(const Json& value, Recording& recording) {
  return read_rows<2>(value, "steps", kMaxSteps, [&](const auto& row) {
    const bool follows = recording.steps.empty() || recording.steps.back().begin <= time_of(row[0]);
    recording.steps.push_back(
        {time_of(row[0]), static_cast<std::uint32_t>(std::min<std::uint64_t>(row[1], UINT32_MAX))});
    return follows;
  });
}

/// Whether step and stage are there.
bool are_there(const Recording& recording, std::uint64_t step, std::uint64_t stage) {
  return step < recording.steps.size() && stage < recording.stages.size();
}

Result<void> read_runs(const Json& value, Recording& recording) {
  return read_rows<4>(value, "runs", kMaxRuns, [&](const auto& row) {
    if (!are_there(recording, row[0], row[1])) return false;
    recording.runs.push_back(
        {static_cast<std::uint32_t>(row[0]), static_cast<std::uint32_t>(row[1]), row[2], time_of(row[3])});
    return true;
  });
}

Result<void> read_waits(const Json& value, Recording& recording) {
  return read_rows<4>(value, "waits", kMaxRuns, [&](const auto& row) {
    if (!are_there(recording, row[0], row[1]) || row[2] > row[3]) return false;
    recording.waits.push_back({static_cast<std::uint32_t>(row[0]), static_cast<std::uint32_t>(row[1]),
                               time_of(row[2]), time_of(row[3])});
    return true;
  });
}

Result<StageRecord> read_stage(const Json& value, std::size_t room) {
  Fields fields(value, "trace: a stage");
  StageRecord stage;
  stage.name = fields.text("name");
  stage.dropped = fields.whole_or("dropped", 0);
  if (!fields.ok()) return fields.error();
  if (stage.name.size() > kMostName) return wrong("a stage's name", "is too long");
  const auto clock = read_rows<3>(value, "clock", kMaxSamples, [&](const auto& row) {
    stage.clock.push_back({time_of(row[0]), time_of(row[1]), time_of(row[2])});
    return row[0] <= row[1];
  });
  if (!clock) return clock.error();
  const auto spans = read_rows<4>(value, "spans", room, [&](const auto& row) {
    if (row[0] > static_cast<std::uint64_t>(Doing::load) || row[1] > row[2]) return false;
    stage.spans.push_back({static_cast<Doing>(row[0]), time_of(row[1]), time_of(row[2]), row[3]});
    return true;
  });
  if (!spans) return spans.error();
  return stage;
}

Result<void> check_id(const std::string& id) {
  const bool plain = std::ranges::all_of(
      id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
  if (id.empty() || id.size() > kMostId || !plain) return wrong("id", "has to be 1 to 64 letters and digits");
  return {};
}

}  // namespace

Json to_json(const Recording& recording) {
  Json steps = Json::array();
  for (const Step& step : recording.steps) steps.push_back({step.begin, step.rows});
  Json runs = Json::array();
  for (const Run& run : recording.runs) runs.push_back({run.step, run.stage, run.graph, run.at});
  Json waits = Json::array();
  for (const Wait& wait : recording.waits) waits.push_back({wait.step, wait.stage, wait.begin, wait.end});
  Json stages = Json::array();
  for (const StageRecord& stage : recording.stages) {
    Json clock = Json::array();
    for (const ClockSample& sample : stage.clock)
      clock.push_back({sample.asked, sample.answered, sample.there});
    Json spans = Json::array();
    for (const Span& span : stage.spans)
      spans.push_back({static_cast<int>(span.doing), span.begin, span.end, span.detail});
    stages.push_back({{"name", stage.name},
                      {"dropped", stage.dropped},
                      {"clock", std::move(clock)},
                      {"spans", std::move(spans)}});
  }
  return {{"version", kRecordingVersion}, {"decode_rows", recording.decode_rows},
          {"length", recording.length},   {"steps", std::move(steps)},
          {"runs", std::move(runs)},      {"waits", std::move(waits)},
          {"stages", std::move(stages)}};
}

Result<Recording> recording_from_json(const Json& value) {
  Fields fields(value, "trace");
  const int version = fields.small("version");
  Recording recording;
  recording.decode_rows = static_cast<std::uint32_t>(fields.small("decode_rows"));
  recording.length = time_of(fields.whole("length"));
  const auto stages = fields.list("stages");
  if (!fields.ok()) return fields.error();
  if (version != kRecordingVersion)
    return Error{Code::incompatible, fmt::format("a trace of version {}", version),
                 "update Caravan on this device"};
  if (stages.size() > kMaxStages) return wrong("stages", "has more entries than there can be");
  std::size_t room = kMaxSpans;
  recording.stages.reserve(stages.size());
  for (const Json& one : stages) {
    auto stage = read_stage(one, room);
    if (!stage) return stage.error();
    room -= stage->spans.size();
    recording.stages.push_back(std::move(*stage));
  }
  if (auto steps = read_steps(value, recording); !steps) return steps.error();
  if (auto runs = read_runs(value, recording); !runs) return runs.error();
  if (auto waits = read_waits(value, recording); !waits) return waits.error();
  return recording;
}

Json to_json(const Request& request) {
  return {{"id", request.id},
          {"tokens", request.tokens},
          {"seconds", request.seconds},
          {"decode_rows", request.decode_rows}};
}

Result<Request> request_from_json(const Json& value) {
  Fields fields(value, "trace");
  Request request;
  request.id = fields.text("id");
  request.tokens = fields.small_or("tokens", request.tokens);
  request.seconds = fields.small_or("seconds", request.seconds);
  request.decode_rows = fields.small_or("decode_rows", request.decode_rows);
  if (fields.ok() && (request.tokens < 1 || request.tokens > kMostTokens))
    fields.fail("tokens", fmt::format("has to be 1 to {}", kMostTokens));
  if (fields.ok() && (request.seconds < 1 || request.seconds > kMostSeconds))
    fields.fail("seconds", fmt::format("has to be 1 to {}", kMostSeconds));
  if (!fields.ok()) return fields.error();
  if (auto id = check_id(request.id); !id) return id.error();
  return request;
}

Json to_json(const Progress& progress) {
  return {{"id", progress.id}, {"tokens", progress.tokens}, {"done", progress.done}};
}

Result<Progress> progress_from_json(const Json& value) {
  Fields fields(value, "trace");
  Progress progress;
  progress.id = fields.text("id");
  progress.tokens = fields.small("tokens");
  progress.done = fields.flag_or("done", false);
  if (!fields.ok()) return fields.error();
  return progress;
}

}  // namespace caravan::trace
