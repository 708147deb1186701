#include "cluster/commons.h"

#include <algorithm>

namespace caravan::cluster {

bool Commons::everybody_measured() const {
  return std::all_of(peers.begin(), peers.end(), [](const auto& entry) {
    const auto& card = entry.second.card;
    return !entry.second.linked || (card && (card->profile || card->engine_build.empty()));
  });
}

bool Commons::is_free_for(const Fulfilment* deployment, const std::string& device) const {
  const auto holder = holders.find(device);
  return holder == holders.end() || holder->second == deployment;
}

bool Commons::is_reserved(const std::string& device, const Wish& wish) const {
  const auto names_it = [&](const Wish& one) {
    return std::find(one.use.begin(), one.use.end(), device) != one.use.end();
  };
  return !names_it(wish) && std::any_of(desired.wishes.begin(), desired.wishes.end(), [&](const Wish& other) {
    return other.model != wish.model && names_it(other);
  });
}

}  // namespace caravan::cluster
