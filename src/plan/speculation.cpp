#include "plan/speculation.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace caravan::plan {
namespace {

/// How many to guess. One less than fours: repacked kernels take four tokens at once, and a rest one by one.
constexpr std::array<int, 3> kDrafts{7, 11, 15};
/// Fewer are found by chance, more are found seldom. The engine guesses nothing when `draft` is less.
constexpr int kLookup = 8;
/// A guessed token is right with the first, each one behind a right one with the second: below what was
/// measured at each of the first ten places (docs/planner.md).
constexpr double kFirstIsRight = 0.8;
constexpr double kNextIsRight = 0.92;
/// While text repeats it has to be faster by this, and a wrong guess must not take longer than so many steps:
/// of new text at most every hundredth step guesses, so it loses 2 % at most.
constexpr double kWorthGuessing = 1.3;
constexpr double kDearestGuess = 3;
/// Logits of a guessed token are kept twice: by the graph and for who samples.
constexpr std::uint64_t kBytesOfLogit = 8;

constexpr std::array<std::pair<SpeculationWish, std::string_view>, 3> kWishes{{
    {SpeculationWish::automatic, "auto"},
    {SpeculationWish::none, "none"},
    {SpeculationWish::ngram, "ngram"},
}};

/// Why the engine cannot, or should not be asked to; empty when it can.
std::string hindrance(const SpeculationQuestion& question) {
  if (question.wish == SpeculationWish::none) return "no tokens are guessed ahead, as asked for";
  if (!question.can_take_back)
    return "no tokens are guessed ahead: this model's recurrent layers cannot take back a wrong guess";
  if (question.worker_samples) return "no tokens are guessed ahead: the last worker chooses one at a time";
  return "";
}

Bytes memory_of(const SpeculationQuestion& question, int draft) {
  return memory_of_guesses(question.vocabulary, question.parallel, draft);
}

Speculation with_draft(const SpeculationQuestion& question, int draft) {
  const double together = question.step_seconds(draft + 1);
  Speculation speculation;
  speculation.lookup = std::min(kLookup, draft);
  speculation.draft = draft;
  speculation.repeating = (1 + expected_accepted(draft)) * question.parallel / together;
  speculation.refused = question.parallel / together;
  return speculation;
}

Speculation off(std::string reason) {
  Speculation speculation;
  speculation.reason = std::move(reason);
  return speculation;
}

}  // namespace

std::string_view name_of(SpeculationWish wish) {
  for (const auto& [value, name] : kWishes) {
    if (value == wish) return name;
  }
  return "auto";
}

std::optional<SpeculationWish> speculation_wish_from(std::string_view name) {
  for (const auto& [value, known] : kWishes) {
    if (known == name) return value;
  }
  return std::nullopt;
}

Bytes memory_of_guesses(double vocabulary, int parallel, int draft) {
  return Bytes{static_cast<std::uint64_t>(vocabulary) * static_cast<std::uint64_t>(draft) *
               static_cast<std::uint64_t>(parallel) * kBytesOfLogit};
}

Bytes memory_of_guesses(double vocabulary, int parallel) {
  return memory_of_guesses(vocabulary, parallel, kDrafts.front());
}

double expected_accepted(int draft) {
  double sum = 0;
  double right = kFirstIsRight;
  for (int i = 0; i < draft; ++i, right *= kNextIsRight) sum += right;
  return sum;
}

Speculation choose_speculation(const SpeculationQuestion& question) {
  if (std::string hindered = hindrance(question); !hindered.empty()) return off(std::move(hindered));
  const double now = question.parallel / question.step_seconds(1);
  std::optional<Speculation> best;
  for (const int draft : kDrafts) {
    if ((draft + 1) * question.parallel > question.micro_batch) break;
    if (memory_of(question, draft) > question.room) break;
    Speculation other = with_draft(question, draft);
    const bool allowed = question.wish == SpeculationWish::ngram || now <= other.refused * kDearestGuess;
    if (allowed && (!best || other.repeating > best->repeating)) best = std::move(other);
  }
  if (!best) {
    const Speculation least = with_draft(question, kDrafts.front());
    if ((kDrafts.front() + 1) * question.parallel > question.micro_batch)
      return off(
          fmt::format("no tokens are guessed ahead: {} sequences fill the micro-batches", question.parallel));
    if (memory_of(question, kDrafts.front()) > question.room)
      return off("no tokens are guessed ahead: there is no memory for their logits");
    return off(
        fmt::format("no tokens are guessed ahead: a wrong guess of {} would take as long as {:.1f} tokens",
                    least.draft, now / least.refused));
  }
  const double gain = best->repeating / now;
  if (question.wish == SpeculationWish::automatic && gain < kWorthGuessing) {
    return off(fmt::format(
        "no tokens are guessed ahead: {:.1f} instead of {:.1f} tokens/s even where the text repeats",
        best->repeating, now));
  }
  best->reason = fmt::format(
      "{} tokens are guessed when the last {} have occurred before: {:.1f} instead of {:.1f} tokens/s while "
      "the text repeats, nothing lost while it does not; a wrong guess takes as long as {:.1f} tokens",
      best->draft, best->lookup, best->repeating, now, now / best->refused);
  return *best;
}

}  // namespace caravan::plan
