// How fast llama-server answers, from the totals that its /metrics page shows: they count whoever asked,
// through whichever device. Pure. Source of the names: tools/server/server-task.cpp of llama.cpp v0.5.0.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string_view>

#include "base/units.h"

namespace caravan::engine {

/// Since the engine was started. It writes six digits, so that differences of large totals are rough.
struct TokenTotals {
  double prompt_tokens = 0;   ///< computed, not taken from the cache
  double prompt_seconds = 0;  ///< spent on them
  double predicted_tokens = 0;
  double predicted_seconds = 0;
  int processing = 0;  ///< requests, now
  int deferred = 0;    ///< requests that wait for a free place

  bool operator==(const TokenTotals&) const = default;
};

/// Nothing when one of them is missing or no number.
std::optional<TokenTotals> parse_token_totals(std::string_view page);

/// Tokens a second of one sequence; 0: nothing was measured.
struct TokenRate {
  double decode = 0;
  double prefill = 0;
};

/// Turns totals that are read every few seconds into rates.
class TokenRateMeter {
 public:
  static constexpr std::chrono::seconds kWindow{60};

  /// What has ended since the reading before; all zero when nothing has.
  TokenTotals add(const TokenTotals& totals, TimePoint now);

  /// Of what ended between two readings last: of the last answer, when one ends at a time.
  const TokenRate& last() const { return last_; }
  /// Of all that ended within the last kWindow.
  TokenRate minute(TimePoint now) const;

 private:
  struct Step {
    TimePoint at;
    TokenTotals totals;  ///< what was added since the reading before
  };
  std::optional<TokenTotals> seen_;
  std::deque<Step> steps_;  ///< those of the window that added something
  TokenRate last_;
};

}  // namespace caravan::engine
