// Tokens guessed ahead and checked together: what a step that checks several costs goes over the network
// once, so it pays where hops or reading weights take the time, and not where arithmetic does. Pure;
// docs/planner.md has the model and what it was measured with.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"

namespace caravan::plan {

/// What a person asks for.
enum class SpeculationWish {
  automatic,  ///< where it pays
  none,
  ngram,  ///< wherever the engine can
};
std::string_view name_of(SpeculationWish wish);
/// "auto", "none" or "ngram".
std::optional<SpeculationWish> speculation_wish_from(std::string_view name);

/// N-grams: when the last `lookup` tokens have occurred before, the `draft` tokens that followed them then
/// are checked in one step. Needs no second model, and costs nothing while nothing repeats.
struct Speculation {
  int lookup = 0;        ///< tokens
  int draft = 0;         ///< tokens for each sequence; 0: nothing is guessed
  double repeating = 0;  ///< tokens/s expected while the text repeats what was said; 0: not predicted
  double refused = 0;    ///< tokens/s if every guess were made and wrong
  std::string reason;    ///< also when nothing is guessed; empty: was not considered

  bool is_on() const { return draft > 0; }
};

struct SpeculationQuestion {
  SpeculationWish wish = SpeculationWish::automatic;
  /// Seconds of a step in which each sequence has so many tokens.
  std::function<double(int)> step_seconds;
  int parallel = 1;
  int micro_batch = 64;  ///< tokens that are computed at once: a step should not be more
  double vocabulary = 0;
  Bytes room;                   ///< free where the head is
  bool can_take_back = true;    ///< false with recurrent layers: a wrong guess has changed their state
  bool worker_samples = false;  ///< the fabric's last worker chooses tokens
};

Speculation choose_speculation(const SpeculationQuestion& question);

/// Logits of `draft` guessed tokens for each sequence: what memory a guess takes where the head is.
Bytes memory_of_guesses(double vocabulary, int parallel, int draft);
/// Of the shortest guess that is made.
Bytes memory_of_guesses(double vocabulary, int parallel);

/// Of `draft` tokens guessed while the text repeats, those that are right, as it is assumed.
double expected_accepted(int draft);

}  // namespace caravan::plan
