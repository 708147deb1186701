// A recording laid out on one axis, the master's clock: what each stage did in which step, without overlaps.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "trace/clock_fit.h"
#include "trace/recording.h"

namespace caravan::trace {

enum class Kind {
  compute,  ///< a graph; on the master: head, sampling, answering, from a result to the next step
  wire,     ///< what the stage needs next is on its way, from the stage before or from the master
  wait,     ///< it has nothing to do, and nothing is on its way
  send,     ///< handing over to the system what goes on
  load,     ///< storing inputs or weights
};
inline constexpr std::size_t kKinds = 5;
std::string_view name_of(Kind kind);

inline constexpr std::uint32_t kNoStep = UINT32_MAX;

struct Piece {
  Kind kind = Kind::compute;
  Nanoseconds begin = 0;  ///< master's clock
  Nanoseconds end = 0;
  std::uint32_t step = kNoStep;
};

/// What one stage, or the master, did: in order of time, without overlaps.
struct Lane {
  std::string name;
  ClockFit clock;
  bool is_placed = true;  ///< false: its clock is not known, so the lane is empty
  std::uint64_t dropped = 0;
  std::vector<Piece> pieces;
};

struct StepTimes {
  Nanoseconds begin = 0;   ///< its first graph was said
  Nanoseconds end = 0;     ///< its results had come to the master
  Nanoseconds period = 0;  ///< to the beginning of the step that its results led to; else to its end
  std::uint32_t rows = 0;
  bool is_decode = false;
  bool is_whole = false;  ///< every stage's part of it is here
};

struct Timeline {
  Nanoseconds length = 0;
  Lane master;
  std::vector<Lane> stages;
  std::vector<StepTimes> steps;
};

Timeline lay_out(const Recording& recording);

}  // namespace caravan::trace
