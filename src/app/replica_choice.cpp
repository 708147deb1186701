#include "app/replica_choice.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "base/json_look.h"

namespace caravan::app {
namespace {

constexpr double kBytesPerToken = 4;  // of English text; code and other languages have fewer
constexpr double kAnswer = 200;       // tokens of a usual answer
constexpr double kUsualDecode = 10;   // tokens/s where nothing is predicted
constexpr double kUsualPrefill = 100;
/// Sequences that are computed together slow each other down, but less than if they took turns.
constexpr double kTogether = 0.5;
/// A conversation that is pushed out of the cache may go on or not.
constexpr double kGoesOn = 0.5;
constexpr double kElsewhere = 0.02;  // seconds for the way through another device
constexpr int kMostSlots = 1024;

double usable(double rate, double usual) { return std::isfinite(rate) && rate > 0 ? rate : usual; }

std::size_t slots_of(const ReplicaOffer& offer) {
  return static_cast<std::size_t>(std::clamp(offer.figures.slots, 1, kMostSlots));
}

}  // namespace

std::optional<std::string> model_meant(const std::vector<std::string>& served, const std::string& asked) {
  if (served.empty()) return std::nullopt;
  if (served.size() == 1 || asked.empty()) return served.front();
  const bool known = std::find(served.begin(), served.end(), asked) != served.end();
  return known ? std::optional(asked) : std::nullopt;
}

std::map<std::string, ReplicaFigures> replica_figures(const Json& deployment) {
  std::vector<Json> replicas;
  const auto add = [&replicas](const Json& one) {
    const Json& of_one = part_of(one, "replicas");
    replicas.insert(replicas.end(), of_one.begin(), of_one.end());
  };
  add(deployment);
  for (const Json& one : part_of(deployment, "deployments")) add(one);
  std::map<std::string, ReplicaFigures> figures;
  for (const Json& replica : replicas) {
    const Json& predicted = part_of(replica, "predicted");
    ReplicaFigures planned;
    planned.slots = static_cast<int>(std::clamp(number_in(replica, "parallel"), 1.0, double{kMostSlots}));
    planned.decode = number_in(predicted, "decode");
    planned.prefill = number_in(predicted, "prefill");
    for (const Json& share : part_of(replica, "shares")) {
      const std::string device = text_in(share, "device");
      if (number_in(share, "rank", -1) == 0 && !device.empty()) figures[device] = planned;
    }
  }
  return figures;
}

/// The prompts that its cache probably still holds: each slot keeps the last one.
std::vector<const ReplicaChoice::Remembered*> ReplicaChoice::held(const ReplicaOffer& offer,
                                                                  TimePoint now) const {
  std::vector<const Remembered*> prompts;
  const auto use = used_.find(offer.device);
  if (use == used_.end() || use->second->order != offer.order) return prompts;
  for (const Remembered& one : use->second->prompts) {
    if (prompts.size() == slots_of(offer) || now - one.at > kRemembered) break;
    prompts.push_back(&one);
  }
  return prompts;
}

double ReplicaChoice::expected(const ReplicaOffer& offer, const gateway::PromptPrefix& prompt,
                               TimePoint now) const {
  const double decode = usable(offer.figures.decode, kUsualDecode);
  const double prefill = usable(offer.figures.prefill, kUsualPrefill) * kBytesPerToken;  // bytes/s
  const auto use = used_.find(offer.device);
  const int mine = use == used_.end() ? 0 : use->second->requests;
  const int told = use == used_.end() ? 0 : use->second->others;
  const int others = mine + std::max(offer.busy, told);
  const int slots = static_cast<int>(slots_of(offer));
  const double waiting = std::max(0, others + 1 - slots) * kAnswer / decode;
  const double sharing = std::min(others, slots - 1) * kTogether * kAnswer / decode;

  const auto prompts = held(offer, now);
  std::size_t cached = 0;
  for (const Remembered* one : prompts) cached = std::max(cached, prompt.shared_with(one->prompt));
  const double computing = static_cast<double>(prompt.bytes - std::min(prompt.bytes, cached)) / prefill;
  const bool pushes_out = cached == 0 && prompts.size() == slots_of(offer);
  const double pushed_out =
      pushes_out ? kGoesOn * static_cast<double>(prompts.back()->prompt.bytes) / prefill : 0;
  return waiting + sharing + computing + pushed_out + (offer.is_here ? 0 : kElsewhere);
}

std::size_t ReplicaChoice::choose(const std::vector<ReplicaOffer>& offers,
                                  const gateway::PromptPrefix& prompt, TimePoint now) const {
  const auto rank = [&](const ReplicaOffer& offer) {
    const auto use = used_.find(offer.device);
    return std::tuple(expected(offer, prompt, now), use == used_.end() ? 0 : use->second->turn);
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < offers.size(); ++i) {
    if (rank(offers[i]) < rank(offers[best])) best = i;
  }
  return best;
}

ReplicaChoice::Use& ReplicaChoice::use_of(const std::string& device) {
  if (!used_.contains(device) && used_.size() == kMostReplicas) {
    used_.erase(std::min_element(used_.begin(), used_.end(), [](const auto& a, const auto& b) {
      return a.second->turn < b.second->turn;
    }));
  }
  std::shared_ptr<Use>& use = used_[device];
  if (!use) use = std::make_shared<Use>();
  return *use;
}

void ReplicaChoice::reported(const std::string& device, int requests) {
  Use& use = use_of(device);
  use.others = std::max(0, requests - std::max(use.most, use.most_before));
  use.most_before = std::exchange(use.most, use.requests);
}

std::shared_ptr<void> ReplicaChoice::lease(const ReplicaOffer& offer, const gateway::PromptPrefix& prompt,
                                           TimePoint now) {
  (void)use_of(offer.device);
  const std::shared_ptr<Use> use = used_[offer.device];
  if (use->order != offer.order) use->prompts.clear();
  use->order = offer.order;
  // A conversation that goes on takes the place of what it was.
  const auto goes_on = [&](const Remembered& one) {
    return !one.prompt.blocks.empty() &&
           prompt.shared_with(one.prompt) == one.prompt.blocks.size() * gateway::PromptPrefix::kBlock;
  };
  auto& prompts = use->prompts;
  if (const auto before = std::find_if(prompts.begin(), prompts.end(), goes_on); before != prompts.end())
    prompts.erase(before);
  prompts.push_front({prompt, now});
  while (prompts.size() > std::min(kMostPrompts, slots_of(offer))) prompts.pop_back();
  use->most = std::max(use->most, ++use->requests);
  use->turn = ++turn_;
  return std::shared_ptr<void>(nullptr, [use](void*) { --use->requests; });
}

}  // namespace caravan::app
