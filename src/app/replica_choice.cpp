#include "app/replica_choice.h"

#include <algorithm>
#include <tuple>

namespace caravan::app {

std::optional<std::string> model_meant(const std::vector<std::string>& served, const std::string& asked) {
  if (served.empty()) return std::nullopt;
  if (served.size() == 1 || asked.empty()) return served.front();
  const bool known = std::find(served.begin(), served.end(), asked) != served.end();
  return known ? std::optional(asked) : std::nullopt;
}

std::size_t ReplicaChoice::choose(const std::vector<ReplicaOffer>& offers) const {
  const auto rank = [&](const ReplicaOffer& offer) {
    const auto use = used_.find(offer.device);
    const int mine = use == used_.end() ? 0 : use->second->requests;
    const std::size_t turn = use == used_.end() ? 0 : use->second->turn;
    // The master's report lags behind by up to a second and, on this device, counts the same requests.
    return std::make_tuple(offer.is_here ? mine : mine + offer.busy, !offer.is_here, turn);
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < offers.size(); ++i) {
    if (rank(offers[i]) < rank(offers[best])) best = i;
  }
  return best;
}

std::shared_ptr<void> ReplicaChoice::lease(const std::string& device) {
  std::shared_ptr<Use>& use = used_[device];
  if (!use) use = std::make_shared<Use>();
  ++use->requests;
  use->turn = ++turn_;
  return std::shared_ptr<void>(nullptr, [use](void*) { --use->requests; });
}

}  // namespace caravan::app
