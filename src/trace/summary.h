// Where a token's time goes: medians over the steps of decode of a trace. Pure.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "trace/timeline.h"

namespace caravan::trace {

/// Of one stage, or of the master. Milliseconds a token; medians of each kind by itself, which need not add
/// up.
struct LaneSummary {
  std::string name;
  std::array<double, kKinds> ms{};  ///< by Kind
  double share = 0;                 ///< of a token's time that it computes, 0 to 1
  std::optional<double>
      clock_ms;  ///< its clock is known to within so much; nothing: not at all, or the master
};

struct Summary {
  std::size_t tokens = 0;  ///< whole steps of decode, which all that follows is about
  double token_ms = 0;     ///< from one to the next
  /// Of a token, while nobody computes: on the ways between devices, with what handling takes at their ends.
  /// The ways go in a circle, so that what is not known of clocks adds up to nothing.
  double between_ms = 0;
  std::size_t prompt_parts = 0;     ///< steps of prompts
  std::uint64_t prompt_tokens = 0;  ///< in them
  double prompt_ms = 0;  ///< from the beginning of the first to the end of the last of each prompt, together
  LaneSummary master;
  std::vector<LaneSummary> stages;
  std::uint64_t dropped = 0;  ///< spans that are missing
};

Summary summarize(const Timeline& timeline);

/// What the planner had expected of a stage.
struct Predicted {
  std::optional<double> compute_ms;  ///< of a token
  std::optional<double> hop_ms;      ///< to it, of a token
};

}  // namespace caravan::trace
