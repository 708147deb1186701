// The planner's arithmetic core: cuts a chain of layers into contiguous segments over devices so that the sum
// of what they cost is least. Knows nothing of models, kernels or networks: only costs, sizes and room. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace caravan::plan {

/// What one device would contribute. Cost is any additive measure (here: seconds); sizes are bytes.
struct Carrier {
  std::vector<double> cost;  ///< of each layer on this device; finite, not negative
  double entry = 0;          ///< paid once if it takes part at all: its hop
  std::uint64_t room = 0;    ///< for layers
  double tail_cost = 0;      ///< what stands behind the last layer (an output head), when it has that
  std::uint64_t tail_size = 0;
  bool required = false;  ///< takes part in every solution
  /// Of each layer, towards what Chain::slowest counts; empty where that counts nothing.
  std::vector<double> load;
};

/// What it takes to get from one carrier to the next.
struct HandOn {
  double cost = 0;
  double load = 0;  ///< towards the load of the one that takes it
};

/// The first carrier is the master: it has the first layers (perhaps none) and its entry is always paid. The
/// others come behind it in any order, each with at least one layer. The tail goes with the last layer,
/// whoever has that.
struct Chain {
  std::vector<std::uint64_t> sizes;  ///< of each layer, the same on every device
  std::vector<Carrier> carriers;     ///< at least one
  /// By carrier and the one behind it, besides what its entry costs; empty: nothing.
  std::vector<std::vector<HandOn>> hand_on;
  double slowest = 0;  ///< what each unit of load costs of the segment that has most of it
};

struct Segment {
  std::size_t carrier = 0;
  int count = 0;
};

struct Cut {
  double cost = 0;                ///< with what the slowest segment's load costs
  std::vector<Segment> segments;  ///< in order of layers; the master's first, even when it has no layer
};

/// Up to this many carriers beside the master every order and every subset is considered: where neither load
/// nor who hands on to whom matters, and where they do.
inline constexpr std::size_t kExactWorkers = 15;
inline constexpr std::size_t kExactHandOns = 7;

/// The cheapest cut, or nothing when none fits (or a required carrier cannot take a layer). With at most
/// kExactWorkers (kExactHandOns) workers, or layers that are all alike, it is the optimum; beyond, the best
/// over a few orders. Equal costs (to 1e-9): the one with fewer carriers, then the one found first in the
/// order given, so that the same input gives the same cut. `bound`: cuts that cost more are of no interest;
/// makes it faster.
std::optional<Cut> cheapest_cut(const Chain& chain, std::optional<double> bound = std::nullopt);

/// What a cut costs that is found quickly, perhaps not the cheapest one: a bound for others.
std::optional<double> likely_cost(const Chain& chain);

/// The largest number of layers that fit together, with the tail on the master or on a worker: for telling
/// what is missing.
int most_layers(const Chain& chain);

}  // namespace caravan::plan
