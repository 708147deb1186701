// The planner: from a model, devices, links and wishes to who carries what, how fast that will be, and why.
// Pure: no clock, no I/O; same input, same plan on every platform.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"
#include "plan/cluster.h"
#include "plan/plan.h"
#include "plan/workload.h"

namespace caravan::plan {

enum class Objective {
  latency,     ///< one conversation as fast as possible
  throughput,  ///< many at once: several replicas where the model fits more than once
  fit,         ///< the longest context that the devices hold together
};

struct Wishes {
  Objective objective = Objective::latency;
  DataPath data_path = DataPath::fabric;  ///< rpc is taken where the fabric does not fit
  std::optional<int> context;    ///< tokens for each sequence; nothing: 4096, or less where that does not fit
  std::optional<int> parallel;   ///< sequences at once in all; nothing: 1, for throughput 8
  std::vector<std::string> use;  ///< each of these devices takes part
  std::vector<std::string> avoid;    ///< none of these does
  std::vector<std::string> masters;  ///< only these have the model's file; empty: any can be master
  Bytes keep_free;                   ///< on each device
  SpeculationWish speculation = SpeculationWish::automatic;
  std::optional<model::ModelFacts> draft;    ///< say what this small model would bring by guessing
  std::optional<double> first_token_within;  ///< seconds, for a prompt of kReferencePrompt tokens
};

/// What there is instead: the same wishes with one device more or less.
struct Alternative {
  std::string device;
  std::string what;  ///< "pixel-4a would slow you from 9.1 to 6.0 tokens/s"
};

struct Proposal {
  std::vector<Plan> replicas;  ///< never empty
  Prediction predicted;        ///< of all replicas together; times are those of the slowest
  std::vector<std::string> reasons;
  std::vector<LeftOut> left_out;
  std::vector<Alternative> alternatives;
};

/// Code::invalid for wishes that contradict each other or name unknown devices; Code::exhausted when nothing
/// fits: the message says how much is missing, the hint the largest quantization or context that would fit.
Result<Proposal> propose(const model::ModelFacts& model, const Cluster& cluster, const Wishes& asked);

/// The same without reasons, devices left out and alternatives, at a fraction of the cost: for asking about
/// many models. Nothing where `propose` would have an error.
std::optional<Proposal> outline(const model::ModelFacts& model, const Cluster& cluster, const Wishes& asked);

}  // namespace caravan::plan
