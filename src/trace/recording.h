// What a trace of the fabric brought home, as it was measured: the master's own view and each worker's spans
// on that worker's own clock. The module writes it, `caravan trace` reads it. docs/trace.md lists every
// field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace caravan::trace {

/// Nanoseconds: on the master's steady clock since the trace began, or on a worker's since it was told so.
using Nanoseconds = std::int64_t;

inline constexpr int kRecordingVersion = 1;
inline constexpr std::size_t kMaxRecordingBytes = std::size_t{8} << 20U;
inline constexpr std::size_t kMaxStages = 15;
inline constexpr std::size_t kMaxSteps = 4096;
inline constexpr std::size_t kMaxRuns = 16384;   ///< graphs that were said, and results waited for
inline constexpr std::size_t kMaxSpans = 65536;  ///< of all stages together
inline constexpr std::size_t kMaxSamples = 1024;
inline constexpr int kMostTokens = 1000;
inline constexpr int kMostSeconds = 60;

/// What a worker did; as fabric/wire has it.
enum class Doing : std::uint8_t { compute = 0, wait_command = 1, wait_peer = 2, send = 3, load = 4 };

struct Span {
  Doing doing = Doing::compute;
  Nanoseconds begin = 0;     ///< worker's clock
  Nanoseconds end = 0;       ///< not before begin
  std::uint64_t detail = 0;  ///< compute: graph; wait_peer and send: tag; load: bytes
  bool operator==(const Span&) const = default;
};

/// One question and its answer: what the worker's clock showed between two times of the master's.
struct ClockSample {
  Nanoseconds asked = 0;
  Nanoseconds answered = 0;  ///< not before asked
  Nanoseconds there = 0;     ///< worker's clock
  bool operator==(const ClockSample&) const = default;
};

struct StageRecord {
  std::string name;           ///< of the device, as the plan has it
  std::uint64_t dropped = 0;  ///< spans that there was no room for
  std::vector<ClockSample> clock;
  std::vector<Span> spans;
  bool operator==(const StageRecord&) const = default;
};

/// One pass through the stages: a token of each sequence, or a part of a prompt.
struct Step {
  Nanoseconds begin = 0;   ///< its first graph was said
  std::uint32_t rows = 0;  ///< of the first graph: tokens that go through at once
  bool operator==(const Step&) const = default;
};

/// A graph that a stage was told to run.
struct Run {
  std::uint32_t step = 0;
  std::uint32_t stage = 0;
  std::uint64_t graph = 0;
  Nanoseconds at = 0;
  bool operator==(const Run&) const = default;
};

/// The master waited for what a stage computed.
struct Wait {
  std::uint32_t step = 0;
  std::uint32_t stage = 0;
  Nanoseconds begin = 0;
  Nanoseconds end = 0;
  bool operator==(const Wait&) const = default;
};

struct Recording {
  std::uint32_t decode_rows = 1;  ///< a step with at most so many rows is one of decode
  Nanoseconds length = 0;
  std::vector<Step> steps;  ///< in order of time, as runs and waits are
  std::vector<Run> runs;
  std::vector<Wait> waits;
  std::vector<StageRecord> stages;
  bool operator==(const Recording&) const = default;
};

Json to_json(const Recording& recording);
/// Code::invalid names what is wrong or too much, Code::incompatible for another version.
Result<Recording> recording_from_json(const Json& value);

/// What the module is asked for, in a file of the trace's folder.
struct Request {
  std::string id;  ///< 1 to 64 letters and digits, new for each
  int tokens = 32;
  int seconds = 10;  ///< from the first token at most
  int decode_rows = 1;
  bool operator==(const Request&) const = default;
};

Json to_json(const Request& request);
Result<Request> request_from_json(const Json& value);

/// How far it is, in another file beside it.
struct Progress {
  std::string id;
  int tokens = 0;
  bool done = false;  ///< the recording is there
  bool operator==(const Progress&) const = default;
};

Json to_json(const Progress& progress);
Result<Progress> progress_from_json(const Json& value);

// Names in the trace's folder.
inline constexpr const char* kRequestFile = "request.json";
inline constexpr const char* kProgressFile = "progress.json";
inline constexpr const char* kRecordingFile = "recording.json";
inline constexpr std::size_t kMaxRequestBytes = 4096;

}  // namespace caravan::trace
