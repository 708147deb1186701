#include "app/plan_maker.h"

#include <algorithm>
#include <utility>

#include "model/gguf.h"

namespace caravan::app {
namespace {

/// docs/planner.md.
constexpr double kCableRoundTrip = 0.001;
constexpr double kCableBandwidth = 100e6;
constexpr double kAirBandwidth = 20e6;

}  // namespace

plan::Link link_of(double round_trip) {
  return {round_trip, round_trip < kCableRoundTrip ? kCableBandwidth : kAirBandwidth};
}

Result<std::vector<plan::Plan>> make_plan(const fs::path& model, const cluster::PlanRequest& request) {
  const auto facts = model::read_model_facts(model);
  if (!facts) return facts.error();
  const cluster::Wish& wish = request.wish;
  plan::Wishes wishes;
  wishes.objective = wish.objective;
  wishes.context = wish.context;
  wishes.parallel = wish.parallel;
  wishes.use = wish.use;
  wishes.avoid = wish.avoid;
  wishes.keep_free = wish.keep_free;
  wishes.masters = request.holders;
  for (const cluster::PlainWorker& worker : wish.plain) wishes.use.push_back(name_of(worker));
  // Wishes name devices that may be away, or carry another model: that must not stop the others.
  const auto is_away = [&request](const std::string& name) {
    const auto& all = request.devices.devices;
    return std::none_of(all.begin(), all.end(), [&](const auto& device) { return device.name == name; });
  };
  std::erase_if(wishes.use, is_away);
  std::erase_if(wishes.avoid, is_away);
  auto proposal = plan::propose(*facts, request.devices, wishes);
  if (!proposal) return proposal.error();
  return std::move(proposal->replicas);
}

}  // namespace caravan::app
