// Inside the solver only. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "plan/prepared_chain.h"

namespace caravan::plan {

/// Over all subsets of workers: the cheapest way to have the first l layers on the master and exactly these
/// workers, in any order; and, where it matters, for each that could be the last of them. Every order and cut
/// is among them. Time and memory double with each worker. Keeps a reference to the chain.
class SubsetSearch {
 public:
  explicit SubsetSearch(const Prepared& chain);

  /// The cheapest cut within the chain's limit; nothing when there is none, or when all cost more than
  /// `bound`, that being what a cut found otherwise costs.
  std::optional<Cut> run(double bound);

 private:
  struct Step {
    std::uint8_t worker = 0;
    std::uint16_t from = 0;
    std::uint32_t before = 0;  ///< state
  };

  bool is_hopeless(std::size_t state, double bound) const;
  void add_worker(std::size_t state, std::size_t worker);
  Cut trace(std::size_t state, double cost) const;

  const Prepared& chain_;
  std::size_t n_workers_;
  std::size_t n_lasts_;
  std::size_t width_;
  Row cheapest_rest_;
  std::vector<Row> rows_;
  std::vector<std::vector<Step>> steps_;
};

}  // namespace caravan::plan
