#include "plan/solver.h"

#include <algorithm>
#include <numeric>

#include "plan/prepared_chain.h"
#include "plan/subset_search.h"

namespace caravan::plan {
namespace {

/// The workers in one fixed order, each of which may be passed over unless it is required; for chains in
/// which it does not matter who hands on.
std::optional<Cut> cut_passing_over(const Prepared& chain, const std::vector<std::size_t>& order) {
  std::vector<Row> rows{start_row(chain)};
  std::vector<std::vector<std::size_t>> from(order.size());  // layers + 1 = passed over
  const std::size_t passed = chain.layers + 1;
  for (std::size_t k = 0; k < order.size(); ++k) {
    Row row = chain.carrier(order[k]).required ? Row(chain.layers + 1, kNever) : rows.back();
    from[k].assign(chain.layers + 1, passed);
    extend(chain, rows.back(), order[k], chain.way(0, order[k]),
           [&](std::size_t l, std::size_t start, double cost) {
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

/// The same where it matters: each worker takes over from any before it, the ones between being passed over.
std::optional<Cut> cut_handing_on(const Prepared& chain, const std::vector<std::size_t>& order) {
  struct From {
    std::size_t place = 0;
    std::size_t layer = 0;
  };
  const auto carrier_at = [&](std::size_t place) { return place == 0 ? 0 : order[place - 1]; };
  const auto is_required = [&](std::size_t place) {
    return place > 0 && chain.carrier(carrier_at(place)).required;
  };
  std::vector<Row> rows{start_row(chain)};
  std::vector<std::vector<From>> from{{}};
  for (std::size_t place = 1; place <= order.size(); ++place) {
    const std::size_t carrier = carrier_at(place);
    Row row(chain.layers + 1, kNever);
    from.emplace_back(chain.layers + 1);
    for (std::size_t before = place; before-- > 0;) {
      extend(chain, rows[before], carrier, chain.way(carrier_at(before), carrier),
             [&](std::size_t l, std::size_t start, double cost) {
               if (!is_less(cost, row[l])) return;
               row[l] = cost;
               from[place][l] = {before, start};
             });
      if (is_required(before)) break;
    }
    rows.push_back(std::move(row));
  }
  Cut cut{kNever, {}};
  std::size_t place = 0;
  for (std::size_t last = order.size() + 1; last-- > 0;) {
    if (!is_less(cut.cost, rows[last][chain.layers])) {
      cut.cost = rows[last][chain.layers];
      place = last;
    }
    if (is_required(last)) break;
  }
  if (cut.cost == kNever) return std::nullopt;
  std::size_t l = chain.layers;
  while (place > 0) {
    const From step = from[place][l];
    cut.segments.push_back({carrier_at(place), static_cast<int>(l - step.layer)});
    l = step.layer;
    place = step.place;
  }
  cut.segments.push_back({0, static_cast<int>(l)});
  std::reverse(cut.segments.begin(), cut.segments.end());
  return cut;
}

std::optional<Cut> cut_in_order(const Prepared& chain, const std::vector<std::size_t>& order) {
  return chain.pairwise ? cut_handing_on(chain, order) : cut_passing_over(chain, order);
}

bool is_uniform(const Prepared& chain) {
  const auto all_alike = [](const auto& values) {
    return std::all_of(values.begin(), values.end(),
                       [&](const auto& value) { return value == values.front(); });
  };
  if (!all_alike(chain.source->sizes)) return false;
  return std::all_of(
      chain.source->carriers.begin(), chain.source->carriers.end(),
      [&](const Carrier& carrier) { return all_alike(carrier.cost) && all_alike(carrier.load); });
}

/// Whether it matters which worker is the last one.
bool tails_differ(const Prepared& chain) {
  const auto& carriers = chain.source->carriers;
  return std::any_of(carriers.begin() + 1, carriers.end(), [&](const Carrier& carrier) {
    return carrier.tail_size > 0 || carrier.tail_cost != carriers[1].tail_cost;
  });
}

/// Layers that are all alike can be taken in any order, unless something stands behind the last.
bool order_matters(const Prepared& chain) {
  return !is_uniform(chain) || tails_differ(chain) || chain.pairwise;
}

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
  if ((tails_differ(chain) || chain.pairwise) && given.size() <= kExactWorkers) {
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

constexpr int kMostPasses = 2;  ///< with more carriers than are solved exactly

/// Without what the slowest segment costs.
std::optional<Cut> cheapest_within_limit(const Prepared& chain, double bound) {
  auto best = cut_in_likely_orders(chain);
  const std::size_t n_workers = chain.n_carriers() - 1;
  const bool is_small =
      n_workers <= (chain.pairwise || !chain.load_sums.empty() ? kExactHandOns : kExactWorkers);
  if (order_matters(chain) && n_workers > 1 && is_small) {
    auto exact = SubsetSearch(chain).run(std::min(bound, best ? best->cost : kNever));
    if (is_better(exact, best)) best = std::move(exact);
  }
  return best;
}

double heaviest(const Prepared& chain, const Cut& cut) {
  double most = 0;
  std::size_t layer = 0;
  for (std::size_t k = 0; k < cut.segments.size(); ++k) {
    const std::size_t carrier = cut.segments[k].carrier;
    const std::size_t next = layer + static_cast<std::size_t>(cut.segments[k].count);
    const double way = k == 0 ? 0 : chain.way(cut.segments[k - 1].carrier, carrier).load;
    most = std::max(most, chain.load(carrier, layer, next) + way);
    layer = next;
  }
  return most;
}

/// That no cut's heaviest segment can be below.
double least_load(const Prepared& chain) {
  double all = 0;
  for (std::size_t l = 0; l < chain.layers && !chain.load_sums.empty(); ++l) {
    double least = kNever;
    for (const Carrier& carrier : chain.source->carriers) least = std::min(least, carrier.load[l]);
    all += least;
  }
  return all / static_cast<double>(chain.n_carriers());
}

/// That no cut can be below: each layer where it is cheapest.
double least_cost(const Prepared& chain) {
  double all = chain.carrier(0).entry + chain.source->slowest * least_load(chain);
  for (std::size_t l = 0; l < chain.layers; ++l) {
    double least = kNever;
    for (const Carrier& carrier : chain.source->carriers) least = std::min(least, carrier.cost[l]);
    all += least;
  }
  return all;
}

}  // namespace

/// The cheapest cut without regard to loads; then the cheapest whose loads are all below that one's heaviest,
/// and so on: the optimum is among these. What follows costs at least as much besides its slowest segment as
/// what was found before, so only loads that make up for that are looked at.
std::optional<Cut> cheapest_cut(const Chain& chain, std::optional<double> bound) {
  Prepared prepared(chain);
  const double least = chain.slowest * least_load(prepared);
  const double wanted = bound.value_or(kNever);
  double rest = least_cost(prepared) - least;  // that no cut is below
  if (is_less(wanted, rest + least)) return std::nullopt;
  const bool is_large = prepared.n_carriers() - 1 > kExactWorkers;
  std::optional<Cut> best;
  for (int pass = 0; !is_large || pass < kMostPasses; ++pass) {
    const double most = std::min(wanted, best ? best->cost : kNever) * (1 + 1e-9);
    if (chain.slowest > 0 && most != kNever)
      prepared.limit = std::min(prepared.limit, (most - rest) / chain.slowest);
    auto cut = cheapest_within_limit(prepared, most - least);
    if (!cut) break;
    rest = cut->cost;
    const double load = heaviest(prepared, *cut);
    cut->cost += chain.slowest * load;
    if (is_better(cut, best)) best = std::move(cut);
    if (chain.slowest <= 0 || !is_less(rest + least, std::min(wanted, best->cost))) break;
    prepared.limit = std::min(prepared.limit, load * (1 - 1e-9));
  }
  if (best && is_less(wanted, best->cost)) return std::nullopt;
  return best;
}

std::optional<double> likely_cost(const Chain& chain) {
  const Prepared prepared(chain);
  const auto cut = cut_in_likely_orders(prepared);
  if (!cut) return std::nullopt;
  return cut->cost + chain.slowest * heaviest(prepared, *cut);
}

int most_layers(const Chain& chain) {
  const auto fit = [&](std::size_t count) {
    Chain shorter = chain;
    shorter.sizes.resize(count);
    for (Carrier& carrier : shorter.carriers) {
      carrier.cost.resize(count);
      if (!carrier.load.empty()) carrier.load.resize(count);
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
