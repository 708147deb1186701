// What the deployments of one controller have in common: the devices, who holds which of them, whose turn it
// is to plan, and the count of orders. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/band.h"
#include "cluster/card.h"
#include "cluster/desired.h"
#include "cluster/messages.h"

namespace caravan::cluster {

class Fulfilment;

/// A device as this one sees it.
struct Peer {
  bool linked = false;
  TimePoint since;  ///< when `linked` became what it is
  std::optional<NodeCard> card;
  std::optional<NodeState> state;
  TimePoint free_since{};   ///< when the last deployment let it go
  Order failed_with;        ///< the newest order that its engine failed with
  TimePoint spare_until{};  ///< because of that, or because it comes and goes
  int failures = 0;         ///< of its engine
  TimePoint failed_at{};    ///< the newest of them
  int losses = 0;           ///< out of what ran, each within Conductor::kSteady of the one before
  TimePoint lost_at{};      ///< the newest of them
  Band band = Band::normal;

  bool can_carry() const { return linked && card && card->can_carry(); }
  bool holds(const Wish& wish) const { return card && card->holds(wish.file, wish.size); }
};

/// Owned by the Conductor; its deployments refer to it.
struct Commons {
  std::map<std::string, Peer> peers;  ///< with this device, which is always linked
  Desired desired;
  std::uint64_t generation = 0;  ///< of the newest order of this epoch
  std::uint64_t plans = 0;       ///< number of the newest MakePlan
  /// The deployment that a device or plain worker carries a share of, or is to carry one of.
  std::map<std::string, const Fulfilment*> holders;
  /// Devices that were let go since the conductor looked last, and by whom.
  std::map<std::string, const Fulfilment*> freed;
  int endings = 0;                      ///< deployments whose wish is gone and that still run
  const Fulfilment* planner = nullptr;  ///< whose plan is being made: one after the other, the oldest first
  TimePoint planner_until{};            ///< then others do not wait for it any more

  /// Generations count from one for all deployments, so that each order is given once; the second of the two
  /// is for ending what the first has started.
  Order next_order() {
    generation += 2;
    return {desired.epoch, generation - 1};
  }
  /// Everybody who is linked, or has no engine, which takes no measuring.
  bool everybody_measured() const;
  /// Nobody else holds it.
  bool is_free_for(const Fulfilment* deployment, const std::string& device) const;
  /// Another wish names it as one of its own.
  bool is_reserved(const std::string& device, const Wish& wish) const;
};

}  // namespace caravan::cluster
