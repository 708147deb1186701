#include "cluster/commons.h"

#include <algorithm>

namespace caravan::cluster {

/// Whoever comes back is welcome, but each further loss in a short time costs everybody another start.
void Peer::note_loss(bool was_running, TimePoint now) {
  if (failures > 0 && now < failed_at + kLastBreath) {
    --failures;
    spare_until = {};
    was_running = true;
  }
  if (!was_running) return;
  losses = losses > 0 && now < lost_at + kSteady ? losses + 1 : 1;
  lost_at = now;
  if (losses > 1) spare_until = std::max(spare_until, now + kFlapping * (1 << std::min(losses - 2, 4)));
}

bool Commons::everybody_measured() const {
  return std::all_of(peers.begin(), peers.end(), [](const auto& entry) {
    const auto& card = entry.second.card;
    return !entry.second.linked || (card && (card->profile || card->engine_build.empty()));
  });
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
