#include "engine/restart_policy.h"

#include <algorithm>

#include <fmt/format.h>

namespace caravan::engine {
namespace {

enum class Remedy { none, at_once, later };

Remedy remedy_for(ExitCause cause) {
  switch (cause) {
    case ExitCause::asked:
    case ExitCause::model_unreadable:
    case ExitCause::worker_incompatible:
    case ExitCause::flag_unknown:
    case ExitCause::missing_library:
      return Remedy::none;
    case ExitCause::port_taken:
      return Remedy::at_once;
    case ExitCause::killed:
    case ExitCause::out_of_memory:
    case ExitCause::worker_lost:
    case ExitCause::crashed:
    case ExitCause::exited:
      break;
  }
  return Remedy::later;
}

}  // namespace

RestartDecision RestartPolicy::on(ExitCause cause, TimePoint now) {
  const Remedy remedy = remedy_for(cause);
  if (cause == ExitCause::asked) return GiveUp{"it was stopped"};
  if (remedy == Remedy::none) return GiveUp{"starting it again would not help"};
  while (!restarts_.empty() && now - restarts_.front() >= limits_.window) restarts_.pop_front();
  const int recent = static_cast<int>(restarts_.size());
  if (recent >= limits_.max_restarts) {
    return GiveUp{fmt::format("it ended {} times within {}", recent + 1, format_duration(limits_.window))};
  }
  std::chrono::milliseconds delay{0};
  if (remedy == Remedy::later) {
    delay = limits_.first_delay;
    for (int i = 0; i < recent && delay < limits_.max_delay; ++i) delay *= 2;
    delay = std::min(delay, limits_.max_delay);
  }
  restarts_.push_back(now + delay);
  return RestartAfter{delay};
}

}  // namespace caravan::engine
