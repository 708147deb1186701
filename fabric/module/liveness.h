// Which stage of a plan has failed when nothing comes any more. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>

namespace caravan::fabric {

/// What a stage owes: answers to reads and to questions whether it lives.
struct Debt {
  using Time = std::chrono::steady_clock::time_point;
  bool owes = false;
  Time since;  ///< when it last said something, began to owe, or somebody began to wait

  void asked(Time now) {
    if (!owes) since = now;
    owes = true;
  }
  /// A debt counts from when somebody waits: before, what it answers to may not even have been written.
  void waited_for(Time now) { since = now; }
  void heard(bool still_owes, Time now) {
    owes = still_owes;
    since = now;
  }
};

/// The stage that is to blame when one of `debts` (in the order of the plan) is as old as `timeout`. A stage
/// that waits for one before it cannot answer either: so it is the first one that has been silent for half of
/// that time.
std::optional<std::size_t> stuck_stage(std::span<const Debt> debts, Debt::Time now,
                                       std::chrono::steady_clock::duration timeout);

/// When stuck_stage() has to be asked at the latest, if nothing is heard until then.
Debt::Time next_deadline(std::span<const Debt> debts, Debt::Time now,
                         std::chrono::steady_clock::duration timeout);

}  // namespace caravan::fabric
