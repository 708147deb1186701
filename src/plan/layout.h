// One replica: the best choice of master, workers, order, layer counts and head placement for one workload on
// some devices. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/cluster.h"
#include "plan/plan.h"
#include "plan/solver.h"
#include "plan/workload.h"

namespace caravan::plan {

struct LayoutWishes {
  Usage usage;
  Bytes keep_free;             ///< on each device
  std::vector<bool> required;  ///< by device; empty: none
  std::vector<bool> allowed;   ///< by device; empty: all
  std::vector<bool> masters;   ///< by device: those that may be master; empty: all that are allowed
  double prompt_weight = 1;    ///< prompt tokens that count like one generated token
};

/// Works out layouts of one workload on one cluster. Keeps references: both must outlive it. Use one for
/// several questions about the same workload: what each layer costs on each device is worked out once.
class LayoutPlanner {
 public:
  LayoutPlanner(const Workload& work, const Cluster& cluster, const Usage& usage);

  /// The fastest layout, or nothing when none fits. Ties go to fewer devices, then to the order of the
  /// cluster.
  std::optional<Plan> best(const LayoutWishes& wishes) const;

  /// How many layers find room at most, with the best master; 0 when nobody can hold embeddings and head.
  int most_layers(const LayoutWishes& wishes) const;

  /// Speeds and times of any layout: `counts` are the layers of `devices`, the master first.
  Prediction predict(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                     Head head) const;

 private:
  struct DeviceCosts {
    std::vector<double> decode[2];   ///< of each kind of layer, by WeightLayout
    std::vector<double> prefill[2];  ///< of one micro-batch
    double head_decode[2];
    double head_prefill[2];
  };
  std::optional<Chain> chain_for(std::size_t master, Head head, const LayoutWishes& wishes,
                                 std::vector<std::size_t>& members) const;
  std::vector<std::size_t> masters(const LayoutWishes& wishes) const;
  Plan make_plan(const std::vector<std::size_t>& members, const Cut& cut, Head head) const;
  double hop(std::size_t master, std::size_t worker, double result, int tokens) const;
  std::uint64_t room(std::size_t device, bool is_master, Head head, const LayoutWishes& wishes) const;

  const Workload& work_;
  const Cluster& cluster_;
  Usage usage_;
  std::vector<std::size_t> kind_of_layer_;
  std::vector<DeviceCosts> costs_;
};

inline constexpr int kUsualMicroBatch = 512;
/// Tokens in a micro-batch: small ones overlap between workers, but only without a tensor override
/// (engine-facts).
int micro_batch(Head head, std::size_t n_devices);

}  // namespace caravan::plan
