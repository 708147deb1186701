// A chain made ready for the solver, and the two steps that every search over it is made of. Inside the
// solver only. Pure.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "plan/solver.h"

namespace caravan::plan {

inline constexpr double kNever = std::numeric_limits<double>::infinity();

/// Whether `a` is better than `b` by more than rounding: sums in another order must not decide.
inline bool is_less(double a, double b) {
  if (b == kNever) return a != kNever;
  return a < b - 1e-9 * std::max(std::abs(a), std::abs(b));
}

template <typename T>
std::vector<T> sums_of(const std::vector<T>& values) {
  std::vector<T> sums(values.size() + 1, T{});
  std::partial_sum(values.begin(), values.end(), sums.begin() + 1);
  return sums;
}

/// A chain with its prefix sums.
struct Prepared {
  explicit Prepared(const Chain& chain)
      : source(&chain), layers(chain.sizes.size()), size_sums(sums_of(chain.sizes)) {
    for (const Carrier& carrier : chain.carriers) cost_sums.push_back(sums_of(carrier.cost));
    if (chain.slowest > 0) {
      for (const Carrier& carrier : chain.carriers) load_sums.push_back(sums_of(carrier.load));
    }
    for (std::size_t to = 1; to < chain.carriers.size() && !chain.hand_on.empty(); ++to) {
      for (std::size_t from = 0; from < chain.carriers.size(); ++from)
        pairwise |= from != to && differ(chain.hand_on[from][to],
                                         chain.hand_on[to == 1 ? 2 % chain.carriers.size() : 1][to]);
    }
  }

  const Carrier& carrier(std::size_t i) const { return source->carriers[i]; }
  std::size_t n_carriers() const { return source->carriers.size(); }
  std::uint64_t room(std::size_t i, bool with_tail) const {
    const Carrier& c = carrier(i);
    if (!with_tail) return c.room;
    return c.room >= c.tail_size ? c.room - c.tail_size : 0;
  }
  bool tail_fits(std::size_t i) const { return carrier(i).room >= carrier(i).tail_size; }
  /// To `to` from the carrier before it.
  HandOn way(std::size_t from, std::size_t to) const {
    HandOn way = source->hand_on.empty() ? HandOn{} : source->hand_on[from][to];
    way.cost += carrier(to).entry;
    return way;
  }
  /// Of the layers first .. last-1.
  double load(std::size_t i, std::size_t first, std::size_t last) const {
    return load_sums.empty() ? 0 : load_sums[i][last] - load_sums[i][first];
  }
  static bool differ(const HandOn& a, const HandOn& b) { return a.cost != b.cost || a.load != b.load; }

  const Chain* source;
  std::size_t layers;
  bool pairwise = false;  ///< it matters who hands on to whom
  double limit = kNever;  ///< of each segment's load
  std::vector<std::uint64_t> size_sums;
  std::vector<std::vector<double>> cost_sums;
  std::vector<std::vector<double>> load_sums;
};

/// Costs of having placed the first l layers, for l = 0 .. layers.
using Row = std::vector<double>;

/// The master's own start: l layers on it and nothing else yet.
inline Row start_row(const Prepared& chain) {
  Row row(chain.layers + 1, kNever);
  const Carrier& master = chain.carrier(0);
  for (std::size_t l = 0; l <= chain.layers; ++l) {
    const bool whole = l == chain.layers;
    if (whole && !chain.tail_fits(0)) continue;
    if (chain.size_sums[l] > chain.room(0, whole) || chain.load(0, 0, l) > chain.limit) continue;
    row[l] = master.entry + chain.cost_sums[0][l] + (whole ? master.tail_cost : 0.0);
  }
  return row;
}

/// Calls take(l, from, cost) for each l with the cheapest way to have carrier `i` end there: it has layers
/// from .. l-1. One pass with a queue of candidates, as room and limit bound `from` from below and both only
/// grow.
template <typename Take>
void extend(const Prepared& chain, const Row& before, std::size_t i, const HandOn& way, const Take& take) {
  const auto& costs = chain.cost_sums[i];
  const auto& sizes = chain.size_sums;
  const Carrier& carrier = chain.carrier(i);
  const auto worth = [&](std::size_t from) { return before[from] - costs[from]; };
  std::size_t first = 0;
  while (first < chain.layers && before[first] == kNever) ++first;
  std::vector<std::size_t> candidates;  // of `from`, from `front` on, the cheapest first
  candidates.reserve(chain.layers - first);
  std::size_t front = 0;
  for (std::size_t l = first + 1; l <= chain.layers; ++l) {
    while (candidates.size() > front && worth(candidates.back()) >= worth(l - 1)) candidates.pop_back();
    candidates.push_back(l - 1);
    const bool whole = l == chain.layers;
    if (whole && !chain.tail_fits(i)) return;
    const std::uint64_t room = chain.room(i, whole);
    const auto too_much = [&](std::size_t from) {
      return sizes[l] - sizes[from] > room || chain.load(i, from, l) + way.load > chain.limit;
    };
    while (front < candidates.size() && too_much(candidates[front])) ++front;
    if (front == candidates.size() || before[candidates[front]] == kNever) continue;
    take(l, candidates[front],
         worth(candidates[front]) + costs[l] + way.cost + (whole ? carrier.tail_cost : 0.0));
  }
}

}  // namespace caravan::plan
