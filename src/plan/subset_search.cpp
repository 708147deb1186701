#include "plan/subset_search.h"

#include <algorithm>
#include <bit>

namespace caravan::plan {
namespace {

int count(std::size_t subset) { return std::popcount(subset); }

}  // namespace

SubsetSearch::SubsetSearch(const Prepared& chain)
    : chain_(chain),
      n_workers_(chain.n_carriers() - 1),
      n_lasts_(chain.pairwise ? n_workers_ : 1),
      width_(chain.layers + 1) {
  cheapest_rest_.assign(width_, 0);
  for (std::size_t l = chain.layers; l-- > 0;) {
    double least = kNever;
    for (const Carrier& carrier : chain.source->carriers) least = std::min(least, carrier.cost[l]);
    cheapest_rest_[l] = cheapest_rest_[l + 1] + least;
  }
}

std::optional<Cut> SubsetSearch::run(double bound) {
  const std::size_t n_states = (std::size_t{1} << n_workers_) * n_lasts_;
  rows_.assign(n_states, {});
  steps_.assign(n_states, {});
  rows_[0] = start_row(chain_);
  std::size_t required = 0;
  for (std::size_t w = 0; w < n_workers_; ++w) {
    if (chain_.carrier(w + 1).required) required |= std::size_t{1} << w;
  }
  double best = kNever;
  std::size_t best_state = 0;
  for (std::size_t state = 0; state < n_states; ++state) {
    if (rows_[state].empty()) continue;
    const std::size_t subset = state / n_lasts_;
    const double done = rows_[state][chain_.layers];
    const bool fewer = done != kNever && !is_less(best, done) && count(subset) < count(best_state / n_lasts_);
    if ((subset & required) == required && (is_less(done, best) || fewer)) {
      best = done;
      best_state = state;
    }
    if (is_hopeless(state, std::min(bound, best))) continue;
    for (std::size_t w = 0; w < n_workers_; ++w) {
      if (((subset >> w) & 1U) == 0) add_worker(state, w);
    }
  }
  if (best == kNever) return std::nullopt;
  return trace(best_state, best);
}

/// No way on from here can be better than `bound`: the rest costs at least what it costs where it is
/// cheapest. Cuts that are as good as the bound stay, the bound being that of a cut found otherwise.
bool SubsetSearch::is_hopeless(std::size_t state, double bound) const {
  for (std::size_t l = 0; l < chain_.layers; ++l) {
    const double least = rows_[state][l] + cheapest_rest_[l];
    if (least != kNever && !is_less(bound, least)) return false;
  }
  return true;
}

void SubsetSearch::add_worker(std::size_t state, std::size_t worker) {
  const std::size_t subset = state / n_lasts_;
  const std::size_t last = chain_.pairwise && subset != 0 ? state % n_lasts_ + 1 : 0;
  const std::size_t grown = (subset | (std::size_t{1} << worker)) * n_lasts_ + (chain_.pairwise ? worker : 0);
  extend(chain_, rows_[state], worker + 1, chain_.way(last, worker + 1),
         [&](std::size_t l, std::size_t from, double cost) {
           if (rows_[grown].empty()) {
             rows_[grown].assign(width_, kNever);
             steps_[grown].assign(width_, {});
           }
           if (!is_less(cost, rows_[grown][l])) return;
           rows_[grown][l] = cost;
           steps_[grown][l] = {static_cast<std::uint8_t>(worker), static_cast<std::uint16_t>(from),
                               static_cast<std::uint32_t>(state)};
         });
}

Cut SubsetSearch::trace(std::size_t state, double cost) const {
  Cut cut{cost, {}};
  std::size_t l = chain_.layers;
  while (state >= n_lasts_) {  // of a subset that is not empty
    const Step step = steps_[state][l];
    cut.segments.push_back({std::size_t{step.worker} + 1, static_cast<int>(l - step.from)});
    state = step.before;
    l = step.from;
  }
  cut.segments.push_back({0, static_cast<int>(l)});
  std::reverse(cut.segments.begin(), cut.segments.end());
  return cut;
}

}  // namespace caravan::plan
