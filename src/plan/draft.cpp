#include "plan/draft.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "plan/layout.h"

namespace caravan::plan {
namespace {

constexpr double kOften = 0.8;
constexpr double kSeldom = 0.4;

std::size_t index_of(const Cluster& cluster, const std::string& device) {
  const auto found = std::find_if(cluster.devices.begin(), cluster.devices.end(),
                                  [&](const DeviceProfile& one) { return one.name == device; });
  return static_cast<std::size_t>(found - cluster.devices.begin());
}

/// Tokens that a step is expected to give when each guess behind right ones is right with this probability.
double tokens_a_step(double right) {
  double sum = 1;
  for (int i = 1; i <= kDraftTokens; ++i) sum += std::pow(right, i);
  return sum;
}

/// At which a step gives `tokens`; tokens_a_step only grows.
double share_for(double tokens) {
  double low = 0;
  double high = 2;
  for (int round = 0; round < 40; ++round) {
    const double middle = (low + high) / 2;
    (tokens_a_step(middle) < tokens ? low : high) = middle;
  }
  return high;
}

Bytes memory_of(const Workload& work) {
  Bytes sum = work.weights + work.compute.with_head;
  for (const Part& layer : work.layers) sum += layer.kv;
  return sum;
}

DraftOutlook hindered(std::string why) {
  DraftOutlook outlook;
  outlook.hindrance = std::move(why);
  return outlook;
}

}  // namespace

DraftOutlook draft_outlook(const model::ModelFacts& model, const model::ModelFacts& draft,
                           const Cluster& cluster, const Plan& plan) {
  if (draft.vocabulary != model.vocabulary) {
    return hindered(fmt::format("it knows {} tokens and {} knows {}, so it is not of the same family",
                                draft.vocabulary, model.name, model.vocabulary));
  }
  const Usage usage = usage_of(plan);
  Usage of_draft = usage;
  of_draft.kv = model::KvType::f16;  // the engine keeps its own as f16
  const Workload work = workload_of(model, usage);
  const Workload draft_work = workload_of(draft, of_draft);
  if (work.recurrent || draft_work.recurrent)
    return hindered("recurrent layers cannot take back a wrong guess");
  const Share& master = plan.shares.front();
  DraftOutlook outlook;
  outlook.memory = memory_of(draft_work);
  if (master.total() + outlook.memory > master.budget)
    return hindered(
        fmt::format("there is no room on {} for its {}", master.device, format_bytes(outlook.memory)));
  std::vector<std::size_t> devices;
  std::vector<int> counts;
  for (const Share& share : plan.shares) {
    devices.push_back(index_of(cluster, share.device));
    counts.push_back(share.layer_count);
  }
  const LayoutPlanner planner(work, cluster, usage);
  const LayoutPlanner alone(draft_work, cluster, of_draft);
  const double now = planner.step_seconds(devices, counts, plan.head, 1);
  const double guess =
      alone.step_seconds({devices.front()}, {static_cast<int>(draft.n_layers())}, Head::master, 1);
  const double step =
      kDraftTokens * guess + planner.step_seconds(devices, counts, plan.head, kDraftTokens + 1);
  outlook.often = tokens_a_step(kOften) * plan.parallel / step;
  outlook.seldom = tokens_a_step(kSeldom) * plan.parallel / step;
  outlook.break_even = share_for(step / now);
  return outlook;
}

std::string describe(const DraftOutlook& outlook, const std::string& draft, const Plan& plan) {
  if (!outlook.hindrance.empty()) return fmt::format("{} cannot guess for it: {}", draft, outlook.hindrance);
  const std::string& master = plan.shares.front().device;
  const std::string even = outlook.break_even <= 1
                               ? fmt::format("it pays when more than {:.0f} % are", outlook.break_even * 100)
                               : "it does not pay even when all are";
  return fmt::format(
      "{} guessing {} tokens on {}: {:.1f} tokens/s when 80 % of its guesses are right, {:.1f} when 40 % "
      "are, {:.1f} without; {}. How many are has to be measured, so it is not planned",
      draft, kDraftTokens, master, outlook.often, outlook.seldom, plan.predicted.decode, even);
}

}  // namespace caravan::plan
