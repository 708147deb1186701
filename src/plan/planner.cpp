#include "plan/planner.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "plan/explain.h"
#include "plan/layout.h"

namespace caravan::plan {
namespace {

constexpr int kUsualContext = 4096;
constexpr int kLeastContext = 256;
constexpr int kUsualThroughputSequences = 8;
/// Among more devices, replicas beside each other are worked out with the likeliest masters.
constexpr std::size_t kAllMasters = 16;
/// Room for guessed tokens' logits may make a layout slower by so much; among more devices it is always kept.
constexpr double kRoomMayCost = 1.03;
constexpr std::size_t kRoomIsWeighed = 16;

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<void> check_wishes(const Cluster& cluster, const Wishes& wishes) {
  if (cluster.devices.empty())
    return Error{Code::invalid, "there is no device to plan for", "name at least one"};
  std::vector<std::string> names;
  for (const DeviceProfile& device : cluster.devices) names.push_back(device.name);
  for (const auto* list : {&wishes.use, &wishes.avoid, &wishes.masters}) {
    for (const std::string& name : *list) {
      if (contains(names, name)) continue;
      const std::string meant = closest_match(name, names);
      return Error{Code::invalid, fmt::format("there is no device '{}'", name),
                   meant.empty() ? fmt::format("there are: {}", join(names, ", "))
                                 : fmt::format("did you mean {}?", meant)};
    }
  }
  for (const std::string& name : wishes.use) {
    if (contains(wishes.avoid, name)) {
      return Error{Code::invalid, fmt::format("'{}' is to be used and to be avoided", name), "name it once"};
    }
  }
  if (wishes.context.value_or(1) < 1 || wishes.parallel.value_or(1) < 1) {
    return Error{Code::invalid, "context and parallel must be at least 1", ""};
  }
  return {};
}

std::vector<bool> marks(const Cluster& cluster, const std::vector<std::string>& names, bool value) {
  std::vector<bool> result;
  for (const DeviceProfile& device : cluster.devices) result.push_back(contains(names, device.name) == value);
  return result;
}

/// What to try, the best first: the context asked for, or the usual one and less; each with the KV cache in
/// full and then quantized, and each of these with room for guessing tokens and then without.
std::vector<Usage> usages(const model::ModelFacts& model, const Wishes& wishes) {
  const int trained = model.context_length > 0
                          ? static_cast<int>(std::min<std::uint64_t>(model.context_length, 1U << 20U))
                          : 1 << 20U;
  std::vector<int> contexts;
  if (wishes.context) {
    contexts = {*wishes.context};
  } else {
    const int most = wishes.objective == Objective::fit ? trained : kUsualContext;
    for (int context = std::min(most, trained); context >= kLeastContext; context /= 2)
      contexts.push_back(context);
    if (contexts.empty()) contexts = {trained};
  }
  std::vector<Usage> all;
  for (const int context : contexts) {
    for (const model::KvType kv : {model::KvType::f16, model::KvType::q8_0}) {
      Usage usage;
      usage.context = context;
      usage.kv = kv;
      usage.data_path = wishes.data_path;
      usage.depth = std::min(usage.depth, context);
      usage.guesses = wishes.speculation != SpeculationWish::none;
      all.push_back(usage);
      if (!usage.guesses) continue;
      usage.guesses = false;
      all.push_back(usage);
    }
  }
  return all;
}

LayoutWishes layout_wishes(const Cluster& cluster, const Wishes& wishes, const Usage& usage) {
  LayoutWishes layout;
  layout.usage = usage;
  layout.keep_free = wishes.keep_free;
  layout.speculation = wishes.speculation;
  layout.required = marks(cluster, wishes.use, true);
  layout.allowed = marks(cluster, wishes.avoid, false);
  if (!wishes.masters.empty()) layout.masters = marks(cluster, wishes.masters, true);
  return layout;
}

/// One replica, as fast as possible; prompts count for more until the first token comes in time, if that was
/// asked for.
std::optional<Plan> fastest(const LayoutPlanner& planner, LayoutWishes layout, const Wishes& wishes) {
  auto plan = planner.best(layout);
  if (!plan || !wishes.first_token_within) return plan;
  for (int round = 0; round < 6 && plan->predicted.first_token > *wishes.first_token_within; ++round) {
    layout.prompt_weight *= 4;
    if (auto other = planner.best(layout);
        other && other->predicted.first_token < plan->predicted.first_token)
      plan = other;
  }
  return plan;
}

struct Found {
  std::vector<Plan> replicas;
  Usage usage;
};

double decode_of(const std::vector<Plan>& replicas) {
  double sum = 0;
  for (const Plan& plan : replicas) sum += plan.predicted.decode;
  return sum;
}

/// Replicas one after the other from the devices that are left, while the model fits; each as fast as
/// possible by itself.
std::vector<Plan> several(const model::ModelFacts& model, const Cluster& cluster, const Wishes& wishes,
                          Usage usage, std::size_t most, int sequences) {
  std::vector<Plan> replicas;
  std::vector<std::string> taken = wishes.avoid;
  usage.parallel = std::max(1, (sequences + static_cast<int>(most) - 1) / static_cast<int>(most));
  const Workload work = workload_of(model, usage);
  const LayoutPlanner planner(work, cluster, usage);
  while (replicas.size() < most) {
    Wishes rest = wishes;
    rest.avoid = taken;
    rest.use.clear();
    LayoutWishes layout = layout_wishes(cluster, rest, usage);
    layout.alone_if_possible = true;  // the others are for the next replica
    layout.few_masters = cluster.devices.size() > kAllMasters;
    auto plan = fastest(planner, layout, rest);
    if (!plan) break;
    for (const Share& share : plan->shares) taken.push_back(share.device);
    replicas.push_back(std::move(*plan));
  }
  return replicas;
}

/// The best number of replicas for one usage; none when the model does not fit once.
std::vector<Plan> replicas_for(const model::ModelFacts& model, const Cluster& cluster, const Wishes& wishes,
                               Usage usage) {
  const int sequences =
      wishes.parallel.value_or(wishes.objective == Objective::throughput ? kUsualThroughputSequences : 1);
  usage.parallel = sequences;
  const Workload work = workload_of(model, usage);
  const LayoutPlanner planner(work, cluster, usage);
  std::vector<Plan> best;
  if (auto one = fastest(planner, layout_wishes(cluster, wishes, usage), wishes))
    best.push_back(std::move(*one));
  if (wishes.objective != Objective::throughput || !wishes.use.empty()) return best;
  const std::size_t most = std::min<std::size_t>(cluster.devices.size(), static_cast<std::size_t>(sequences));
  for (std::size_t count = 2; count <= most; ++count) {
    auto more = several(model, cluster, wishes, usage, count, sequences);
    if (more.size() < count) break;
    if (decode_of(more) > decode_of(best)) best = std::move(more);
  }
  return best;
}

Prediction together(const std::vector<Plan>& replicas) {
  Prediction all;
  for (const Plan& plan : replicas) {
    all.decode += plan.predicted.decode;
    all.prefill += plan.predicted.prefill;
    all.load = std::max(all.load, plan.predicted.load);
    all.load_again = std::max(all.load_again, plan.predicted.load_again);
    all.first_token = std::max(all.first_token, plan.predicted.first_token);
  }
  return all;
}

std::optional<Proposal> proposal_for(const model::ModelFacts& model, const Cluster& cluster,
                                     const Wishes& wishes, const Usage& usage) {
  Proposal proposal;
  proposal.replicas = replicas_for(model, cluster, wishes, usage);
  if (proposal.replicas.empty()) return std::nullopt;
  proposal.predicted = together(proposal.replicas);
  return proposal;
}

/// Whether room for guessing is worth a layout that is slower while nothing is guessed.
bool is_worth_its_room(const Proposal& with, const Proposal& without, Objective objective) {
  const auto price = [&](const Prediction& predicted) {
    return 1 / predicted.decode + (objective == Objective::throughput ? 0 : 1 / predicted.prefill);
  };
  const bool guesses = std::any_of(with.replicas.begin(), with.replicas.end(),
                                   [](const Plan& plan) { return plan.speculation.is_on(); });
  return price(with.predicted) <= price(without.predicted) * (guesses ? kRoomMayCost : 1 + 1e-9);
}

/// For the first of `tries` that fits.
std::optional<Proposal> first_fitting(const model::ModelFacts& model, const Cluster& cluster,
                                      const Wishes& wishes, const std::vector<Usage>& tries) {
  for (const Usage& usage : tries) {
    auto proposal = proposal_for(model, cluster, wishes, usage);
    if (!proposal) continue;
    if (!usage.guesses || cluster.devices.size() > kRoomIsWeighed) return proposal;
    Usage bare = usage;
    bare.guesses = false;
    auto without = proposal_for(model, cluster, wishes, bare);
    const bool worth = !without || is_worth_its_room(*proposal, *without, wishes.objective);
    return worth ? std::move(proposal) : std::move(without);
  }
  return std::nullopt;
}

bool has_too_many_stages(const Proposal& proposal) {
  return std::any_of(proposal.replicas.begin(), proposal.replicas.end(), [](const Plan& plan) {
    return plan.data_path == DataPath::fabric && plan.shares.size() > kMostStages;
  });
}

/// What the fabric cannot do, or has no room for beside its workers, goes through RPC: `wishes` and `tries`
/// say so then.
std::optional<Proposal> fitting(const model::ModelFacts& model, const Cluster& cluster, Wishes& wishes,
                                std::vector<Usage>& tries) {
  tries = usages(model, wishes);
  auto proposal = first_fitting(model, cluster, wishes, tries);
  if (wishes.data_path == DataPath::rpc || (proposal && !has_too_many_stages(*proposal))) return proposal;
  wishes.data_path = DataPath::rpc;
  tries = usages(model, wishes);
  return first_fitting(model, cluster, wishes, tries);
}

}  // namespace

Result<Proposal> propose(const model::ModelFacts& model, const Cluster& cluster, const Wishes& asked) {
  if (const auto checked = check_wishes(cluster, asked); !checked) return checked.error();
  if (model.n_layers() == 0)
    return Error{Code::invalid, fmt::format("{} has no layers", model.name), "is it a language model?"};
  Wishes wishes = asked;
  std::vector<Usage> tries;
  auto proposal = fitting(model, cluster, wishes, tries);
  if (!proposal) return nothing_fits(model, cluster, wishes, tries);
  explain(*proposal, model, cluster, wishes, tries.front());
  const bool is_split = proposal->replicas.front().shares.size() > 1;
  if (wishes.data_path != asked.data_path && is_split) {
    proposal->reasons.push_back(fmt::format(
        "through llama.cpp's RPC: the fabric has no room beside the layers, or takes at most {} devices",
        kMostStages));
  }
  return std::move(*proposal);
}

std::optional<Proposal> outline(const model::ModelFacts& model, const Cluster& cluster, const Wishes& asked) {
  if (!check_wishes(cluster, asked) || model.n_layers() == 0) return std::nullopt;
  Wishes wishes = asked;
  std::vector<Usage> tries;
  return fitting(model, cluster, wishes, tries);
}

}  // namespace caravan::plan
