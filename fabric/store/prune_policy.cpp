#include "fabric/store/prune_policy.h"

#include <algorithm>

namespace caravan::fabric {
namespace {

std::uint64_t less(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

/// A time that lies ahead was noted by a clock that went wrong: it counts as now.
StoreTime age_of(const StoredItem& item, StoreTime now) { return std::min(item.last_use, now); }

std::vector<std::size_t> oldest_first(const std::vector<StoredItem>& items, StoreTime now) {
  std::vector<std::size_t> order;
  order.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_used_now) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const StoreTime time_a = age_of(items[a], now);
    const StoreTime time_b = age_of(items[b], now);
    return time_a != time_b ? time_a < time_b : items[a].size > items[b].size;
  });
  return order;
}

}  // namespace

PrunePlan PrunePolicy::plan(const std::vector<StoredItem>& items, Bytes needed, Bytes free,
                            StoreTime now) const {
  PrunePlan plan;
  std::uint64_t used = 0;
  std::uint64_t gone = 0;
  for (const StoredItem& item : items) used += item.size.count;
  const auto is_stale = [&](const StoredItem& item) {
    return item.is_part && now - age_of(item, now) > limits_.parts_kept;
  };
  const std::vector<std::size_t> order = oldest_first(items, now);
  std::vector<std::size_t> others;
  others.reserve(order.size());
  std::uint64_t could_go = 0;
  for (const std::size_t i : order) {
    could_go += items[i].size.count;
    if (!is_stale(items[i])) {
      others.push_back(i);
      continue;
    }
    plan.drop.push_back(i);
    gone += items[i].size.count;
  }
  // how much has to go for both limits
  const std::uint64_t over = less(used + needed.count, limits_.limit.count);
  const std::uint64_t short_of = less(needed.count + limits_.keep_free.count, free.count);
  const std::uint64_t must_go = std::max(over, short_of);
  if (must_go <= gone) return plan;
  plan.fits = must_go <= could_go;
  // nothing goes in vain, but the limit holds also when it was lowered
  std::uint64_t goal = plan.fits ? must_go : less(used, limits_.limit.count);
  if (goal <= gone) return plan;
  if (plan.fits) goal += limits_.limit.count / 16;
  for (const std::size_t i : others) {
    if (gone >= goal) break;
    plan.drop.push_back(i);
    gone += items[i].size.count;
  }
  return plan;
}

bool PrunePolicy::is_worth_noting(StoreTime last_use, StoreTime now) {
  return last_use > now || now - last_use >= std::chrono::hours(1);
}

}  // namespace caravan::fabric
