#include "fabric/module/liveness.h"

#include <algorithm>

namespace caravan::fabric {

std::optional<std::size_t> stuck_stage(std::span<const Debt> debts, Debt::Time now,
                                       std::chrono::steady_clock::duration timeout) {
  const auto silent_for = [now](std::chrono::steady_clock::duration time) {
    return [now, time](const Debt& debt) { return debt.owes && now - debt.since >= time; };
  };
  if (std::ranges::none_of(debts, silent_for(timeout))) return {};
  const auto first = std::ranges::find_if(debts, silent_for(timeout / 2));
  return static_cast<std::size_t>(first - debts.begin());
}

Debt::Time next_deadline(std::span<const Debt> debts, Debt::Time now,
                         std::chrono::steady_clock::duration timeout) {
  auto next = now + timeout;
  for (const auto& debt : debts) {
    if (debt.owes) next = std::min(next, debt.since + timeout);
  }
  return next;
}

}  // namespace caravan::fabric
