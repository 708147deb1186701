// One replica: the best choice of master, workers, order, layer counts and head placement for one workload on
// some devices. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/cluster.h"
#include "plan/cost.h"
#include "plan/plan.h"
#include "plan/solver.h"
#include "plan/workload.h"

namespace caravan::plan {

struct LayoutWishes {
  Usage usage;
  Bytes keep_free;                 ///< on each device
  std::vector<bool> required;      ///< by device; empty: none
  std::vector<bool> allowed;       ///< by device; empty: all
  std::vector<bool> masters;       ///< by device: those that may be master; empty: all that are allowed
  bool few_masters = false;        ///< try the likeliest only: quicker, near the optimum
  double prompt_weight = 1;        ///< prompt tokens that count like one generated token
  bool alone_if_possible = false;  ///< on one device, if any holds all
  SpeculationWish speculation = SpeculationWish::automatic;
};

/// Works out layouts of one workload on one cluster, for the data path that the usage says. Keeps references:
/// both must outlive it. Use one for several questions about the same workload: what each layer costs on each
/// device is worked out once.
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
  /// A plan whose ranks are the devices in the cluster's order, with the speeds and times of now.
  Plan predicted(Plan plan) const;

  /// The plan of any layout, whether or not it fits: `counts` are the layers of `devices`, the master first.
  Plan plan_of(const std::vector<std::size_t>& devices, const std::vector<int>& counts, Head head,
               SpeculationWish speculation) const;

  /// Of such a layout, one step in which each sequence has so many tokens.
  double step_seconds(const std::vector<std::size_t>& devices, const std::vector<int>& counts, Head head,
                      int tokens) const;

 private:
  /// What one device costs with weights in one layout.
  struct DeviceCosts {
    const DeviceSpeed* speed = nullptr;  ///< with the number of threads that is best there
    std::vector<double> decode;          ///< of each kind of layer
    std::vector<double> prefill;         ///< of one micro-batch of the usual size
    std::vector<double> small_prefill;   ///< of one that overlaps
    std::vector<double> store;           ///< into memory, when it is loaded
    double head_decode = 0;
    double head_prefill = 0;
    double head_store = 0;
  };
  /// Devices, master first, with a way to price them.
  struct Candidate {
    Chain chain;
    std::vector<std::size_t> members;  ///< behind the chain's carriers
    DataPath path = DataPath::rpc;
  };
  struct Found {
    Candidate candidate;
    Cut cut;
    Head head = Head::master;
  };
  DeviceCosts costs_of(const DeviceSpeed& speed, const std::vector<const Part*>& kinds,
                       WeightLayout layout) const;
  DeviceCosts best_threads(const DeviceProfile& device, const std::vector<const Part*>& kinds,
                           WeightLayout layout) const;
  const DeviceCosts& costs(std::size_t device, WeightLayout layout) const;
  std::optional<Link> link(std::size_t from, std::size_t to) const;
  double hop(std::size_t master, std::size_t worker, double result, int tokens) const;
  HandOn hand_on(std::size_t master, std::size_t from, std::size_t to, double prompt_share) const;
  ProcessRole role(DataPath path, bool is_master, bool has_head) const;
  std::uint64_t room(std::size_t device, const ProcessRole& role, const LayoutWishes& wishes) const;
  std::optional<Candidate> alone(std::size_t master, const LayoutWishes& wishes) const;
  std::optional<Candidate> together(std::size_t master, Head head, const LayoutWishes& wishes) const;
  Carrier rpc_carrier(std::size_t master, std::size_t device, Head head, const LayoutWishes& wishes) const;
  Carrier fabric_carrier(std::size_t master, std::size_t device, Head head, const LayoutWishes& wishes) const;
  void add_hand_ons(Candidate& candidate, double prompt_share) const;
  double prompt_share(const LayoutWishes& wishes) const;
  std::vector<Candidate> candidates(Head head, const LayoutWishes& wishes) const;
  std::optional<Found> best_with(Head head, const LayoutWishes& wishes, std::optional<double> bound) const;
  std::vector<std::size_t> masters(const LayoutWishes& wishes) const;
  void add_speculation(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                       SpeculationWish wish, Plan& plan) const;
  bool goes_through_fabric(const std::vector<std::size_t>& devices) const;
  double way_seconds(std::size_t master, std::size_t from, std::size_t to, int tokens) const;
  Prediction predict_rpc(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                         Head head) const;
  Prediction predict_fabric(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                            Head head) const;
  /// Seconds until it answers: the first time, and when weights are where they are needed.
  struct Load {
    double first = 0;
    double again = 0;
  };
  Load load_rpc(const std::vector<std::size_t>& devices, const std::vector<int>& counts, Head head) const;
  Load load_fabric(const std::vector<std::size_t>& devices, const std::vector<int>& counts, Head head) const;
  void predict_shares(const std::vector<std::size_t>& devices, Plan& plan) const;

  const Workload& work_;
  const Cluster& cluster_;
  Usage usage_;
  std::vector<std::size_t> kind_of_layer_;
  std::vector<DeviceCosts> repacked_;
  std::vector<DeviceCosts> plain_;
  /// From each device to each; empty when there are so many that only the master's matter.
  std::vector<std::optional<Link>> links_;
};

/// Tokens in a micro-batch: small ones overlap between workers, with RPC only without a tensor override
/// (engine-facts).
int micro_batch(DataPath path, Head head, std::size_t n_devices);
/// Devices that the fabric takes in one replica: ggml's scheduler takes 16 backends, and the CPU is one.
inline constexpr std::size_t kMostStages = 15;

}  // namespace caravan::plan
