#include "plan/solver.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>

namespace caravan::plan {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// Whether `a` is better than `b` by more than rounding: sums in another order must not decide.
bool is_less(double a, double b) {
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
  }

  const Carrier& carrier(std::size_t i) const { return source->carriers[i]; }
  std::size_t n_carriers() const { return source->carriers.size(); }
  std::uint64_t room(std::size_t i, bool with_tail) const {
    const Carrier& c = carrier(i);
    if (!with_tail) return c.room;
    return c.room >= c.tail_size ? c.room - c.tail_size : 0;
  }
  bool tail_fits(std::size_t i) const { return carrier(i).room >= carrier(i).tail_size; }

  const Chain* source;
  std::size_t layers;
  std::vector<std::uint64_t> size_sums;
  std::vector<std::vector<double>> cost_sums;
};

/// Costs of having placed the first l layers, for l = 0 .. layers.
using Row = std::vector<double>;

/// The master's own start: l layers on it and nothing else yet.
Row start_row(const Prepared& chain) {
  Row row(chain.layers + 1, kNever);
  const Carrier& master = chain.carrier(0);
  for (std::size_t l = 0; l <= chain.layers; ++l) {
    const bool whole = l == chain.layers;
    if (whole && !chain.tail_fits(0)) continue;
    if (chain.size_sums[l] > chain.room(0, whole)) continue;
    row[l] = master.entry + chain.cost_sums[0][l] + (whole ? master.tail_cost : 0.0);
  }
  return row;
}

/// Calls take(l, from, cost) for each l with the cheapest way to have carrier `i` end there: it has layers
/// from .. l-1. One pass with a queue of candidates, as the room bounds `from` from below and both only grow.
template <typename Take>
void extend(const Prepared& chain, const Row& before, std::size_t i, const Take& take) {
  const auto& costs = chain.cost_sums[i];
  const auto& sizes = chain.size_sums;
  const Carrier& carrier = chain.carrier(i);
  std::deque<std::size_t> candidates;  // of `from`, the cheapest in front
  const auto worth = [&](std::size_t from) { return before[from] - costs[from]; };
  for (std::size_t l = 1; l <= chain.layers; ++l) {
    while (!candidates.empty() && worth(candidates.back()) >= worth(l - 1)) candidates.pop_back();
    candidates.push_back(l - 1);
    const bool whole = l == chain.layers;
    if (whole && !chain.tail_fits(i)) return;
    const std::uint64_t room = chain.room(i, whole);
    while (!candidates.empty() && sizes[l] - sizes[candidates.front()] > room) candidates.pop_front();
    if (candidates.empty() || before[candidates.front()] == kNever) continue;
    take(l, candidates.front(),
         worth(candidates.front()) + costs[l] + carrier.entry + (whole ? carrier.tail_cost : 0.0));
  }
}

/// The workers in one fixed order, each of which may be passed over unless it is required.
std::optional<Cut> cut_in_order(const Prepared& chain, const std::vector<std::size_t>& order) {
  std::vector<Row> rows{start_row(chain)};
  std::vector<std::vector<std::size_t>> from(order.size());  // layers + 1 = passed over
  const std::size_t passed = chain.layers + 1;
  for (std::size_t k = 0; k < order.size(); ++k) {
    Row row = chain.carrier(order[k]).required ? Row(chain.layers + 1, kNever) : rows.back();
    from[k].assign(chain.layers + 1, passed);
    extend(chain, rows.back(), order[k], [&](std::size_t l, std::size_t start, double cost) {
      if (!is_less(cost, row[l])) return;
      row[l] = cost;
      from[k][l] = start;
    });
    rows.push_back(std::move(row));
  }
  Cut cut{rows.back()[chain.layers], {}};
  if (cut.cost == kNever) return std::nullopt;
  std::size_t l = chain.layers;
  for (std::size_t k = order.size(); k-- > 0;) {
    const std::size_t start = from[k][l];
    if (start == passed) continue;
    cut.segments.push_back({order[k], static_cast<int>(l - start)});
    l = start;
  }
  cut.segments.push_back({0, static_cast<int>(l)});
  std::reverse(cut.segments.begin(), cut.segments.end());
  return cut;
}

bool is_uniform(const Prepared& chain) {
  const auto all_alike = [](const auto& values) {
    return std::all_of(values.begin(), values.end(),
                       [&](const auto& value) { return value == values.front(); });
  };
  if (!all_alike(chain.source->sizes)) return false;
  return std::all_of(chain.source->carriers.begin(), chain.source->carriers.end(),
                     [&](const Carrier& carrier) { return all_alike(carrier.cost); });
}

bool has_tail(const Prepared& chain) {
  return std::any_of(chain.source->carriers.begin(), chain.source->carriers.end(),
                     [](const Carrier& carrier) { return carrier.tail_cost > 0 || carrier.tail_size > 0; });
}

/// Layers that are all alike can be taken in any order, unless something stands behind the last.
bool order_matters(const Prepared& chain) { return !is_uniform(chain) || has_tail(chain); }

bool is_better(const std::optional<Cut>& a, const std::optional<Cut>& b) {
  if (!a || !b) return a.has_value() && !b.has_value();
  if (is_less(a->cost, b->cost)) return true;
  return !is_less(b->cost, a->cost) && a->segments.size() < b->segments.size();
}

/// The best over some orders that are good for different reasons: as given, by room, by speed, and each
/// worker in turn last (where the tail would go).
std::optional<Cut> cut_in_likely_orders(const Prepared& chain) {
  std::vector<std::size_t> given(chain.n_carriers() - 1);
  std::iota(given.begin(), given.end(), 1);
  std::vector<std::vector<std::size_t>> orders{given};
  if (!order_matters(chain)) return cut_in_order(chain, given);
  const auto add_sorted = [&](const auto& key) {
    std::vector<std::size_t> order = given;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
    orders.push_back(order);
    orders.emplace_back(order.rbegin(), order.rend());
  };
  add_sorted([&](std::size_t i) { return static_cast<double>(chain.carrier(i).room); });
  add_sorted([&](std::size_t i) { return chain.cost_sums[i].back(); });
  if (has_tail(chain) && given.size() <= kExactWorkers) {
    for (std::size_t last : given) {
      std::vector<std::size_t> order = given;
      std::stable_partition(order.begin(), order.end(), [&](std::size_t i) { return i != last; });
      orders.push_back(std::move(order));
    }
  }
  std::optional<Cut> best;
  for (const auto& order : orders) {
    auto cut = cut_in_order(chain, order);
    if (is_better(cut, best)) best = std::move(cut);
  }
  return best;
}

/// Over all subsets of workers: rows[S][l] is the cheapest way to have the first l layers on the master and
/// exactly the workers of S, in any order. Every order and cut is among them.
class SubsetSearch {
 public:
  explicit SubsetSearch(const Prepared& chain)
      : chain_(chain), n_workers_(chain.n_carriers() - 1), width_(chain.layers + 1) {
    cheapest_rest_.assign(width_, 0);
    for (std::size_t l = chain.layers; l-- > 0;) {
      double least = kNever;
      for (const Carrier& carrier : chain.source->carriers) least = std::min(least, carrier.cost[l]);
      cheapest_rest_[l] = cheapest_rest_[l + 1] + least;
    }
  }

  std::optional<Cut> run(double bound) {
    const std::size_t n_subsets = std::size_t{1} << n_workers_;
    rows_.assign(n_subsets, {});
    steps_.assign(n_subsets, {});
    rows_[0] = start_row(chain_);
    std::size_t required = 0;
    for (std::size_t w = 0; w < n_workers_; ++w) {
      if (chain_.carrier(w + 1).required) required |= std::size_t{1} << w;
    }
    double best = kNever;
    std::size_t best_subset = 0;
    for (std::size_t subset = 0; subset < n_subsets; ++subset) {
      if (rows_[subset].empty()) continue;
      const double done = rows_[subset][chain_.layers];
      const bool fewer = done != kNever && !is_less(best, done) && count(subset) < count(best_subset);
      if ((subset & required) == required && (is_less(done, best) || fewer)) {
        best = done;
        best_subset = subset;
      }
      if (is_hopeless(subset, std::min(bound, best))) continue;
      for (std::size_t w = 0; w < n_workers_; ++w) {
        if (((subset >> w) & 1U) == 0) add_worker(subset, w);
      }
    }
    if (best == kNever) return std::nullopt;
    return trace(best_subset, best);
  }

 private:
  struct Step {
    std::uint8_t worker = 0;
    std::uint16_t from = 0;
  };

  static int count(std::size_t subset) { return std::popcount(subset); }

  /// No way on from here can be better than `bound`: the rest costs at least what it costs where it is
  /// cheapest. Cuts that are as good as the bound stay, the bound being that of a cut found otherwise.
  bool is_hopeless(std::size_t subset, double bound) const {
    for (std::size_t l = 0; l < chain_.layers; ++l) {
      const double least = rows_[subset][l] + cheapest_rest_[l];
      if (least != kNever && !is_less(bound, least)) return false;
    }
    return true;
  }

  void add_worker(std::size_t subset, std::size_t worker) {
    const std::size_t grown = subset | (std::size_t{1} << worker);
    extend(chain_, rows_[subset], worker + 1, [&](std::size_t l, std::size_t from, double cost) {
      if (rows_[grown].empty()) {
        rows_[grown].assign(width_, kNever);
        steps_[grown].assign(width_, {});
      }
      if (!is_less(cost, rows_[grown][l])) return;
      rows_[grown][l] = cost;
      steps_[grown][l] = {static_cast<std::uint8_t>(worker), static_cast<std::uint16_t>(from)};
    });
  }

  Cut trace(std::size_t subset, double cost) const {
    Cut cut{cost, {}};
    std::size_t l = chain_.layers;
    while (subset != 0) {
      const Step step = steps_[subset][l];
      cut.segments.push_back({std::size_t{step.worker} + 1, static_cast<int>(l - step.from)});
      subset &= ~(std::size_t{1} << step.worker);
      l = step.from;
    }
    cut.segments.push_back({0, static_cast<int>(l)});
    std::reverse(cut.segments.begin(), cut.segments.end());
    return cut;
  }

  const Prepared& chain_;
  std::size_t n_workers_;
  std::size_t width_;
  Row cheapest_rest_;
  std::vector<Row> rows_;
  std::vector<std::vector<Step>> steps_;
};

}  // namespace

std::optional<Cut> cheapest_cut(const Chain& chain, std::optional<double> bound) {
  const Prepared prepared(chain);
  auto best = cut_in_likely_orders(prepared);
  if (order_matters(prepared) && prepared.n_carriers() > 2 && prepared.n_carriers() - 1 <= kExactWorkers) {
    const double limit = std::min(bound.value_or(kNever), best ? best->cost : kNever);
    auto exact = SubsetSearch(prepared).run(limit);
    if (is_better(exact, best)) best = std::move(exact);
  }
  if (best && bound && is_less(*bound, best->cost)) return std::nullopt;
  return best;
}

int most_layers(const Chain& chain) {
  const auto fit = [&](std::size_t count) {
    Chain shorter = chain;
    shorter.sizes.resize(count);
    for (Carrier& carrier : shorter.carriers) {
      carrier.cost.resize(count);
      carrier.required = false;
    }
    return cut_in_likely_orders(Prepared(shorter)).has_value();
  };
  std::size_t good = 0;
  std::size_t bad = chain.sizes.size() + 1;
  while (good + 1 < bad) {
    const std::size_t middle = (good + bad) / 2;
    (fit(middle) ? good : bad) = middle;
  }
  return static_cast<int>(good);
}

}  // namespace caravan::plan
