#include "link/dial_policy.h"

#include <algorithm>
#include <utility>

namespace caravan::link {

void DialPolicy::set_members(const std::set<std::string>& members, TimePoint now) {
  std::erase_if(devices_, [&](const auto& entry) { return !members.contains(entry.first); });
  for (const std::string& device : members) {
    if (device == self_ || devices_.contains(device)) continue;
    Goal goal;
    goal.at = now + times_.first + (self_ > device ? times_.courtesy : std::chrono::milliseconds(0));
    devices_.emplace(device, std::move(goal));
  }
}

void DialPolicy::set_addresses(const std::string& device, std::vector<LinkAddress> addresses, TimePoint now) {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return;
  Goal& goal = found->second;
  const bool is_new =
      !addresses.empty() && (goal.addresses.empty() || goal.addresses.front() != addresses.front());
  goal.addresses = std::move(addresses);
  if (!is_new) return;
  goal.next = 0;
  if (goal.failures > 0) goal.at = now;
  goal.failures = 0;
}

void DialPolicy::add_by_hand(const LinkAddress& address, TimePoint now) {
  Goal goal;
  goal.addresses = {address};
  goal.at = now;
  by_hand_.emplace(address, std::move(goal));
}

void DialPolicy::linked(const std::string& device) {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return;
  found->second.is_linked = true;
  found->second.failures = 0;
}

void DialPolicy::lost(const std::string& device, TimePoint now) {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return;
  found->second.is_linked = false;
  found->second.at = now + times_.first;
}

bool DialPolicy::wants(const Goal& goal) const {
  if (goal.is_linked || goal.under_way || goal.addresses.empty()) return false;
  if (goal.found.empty()) return true;
  const auto device = devices_.find(goal.found);
  return device == devices_.end() || !device->second.is_linked;
}

std::vector<Dial> DialPolicy::due(TimePoint now) {
  std::vector<Dial> dials;
  const auto consider = [&](const std::string& device, Goal& goal) {
    if (!wants(goal) || now < goal.at) return;
    goal.under_way = true;
    dials.push_back({device, goal.addresses[goal.next++ % goal.addresses.size()]});
  };
  for (auto& [device, goal] : devices_) consider(device, goal);
  for (auto& [address, goal] : by_hand_) consider("", goal);
  return dials;
}

/// All addresses are tried quickly one after the other; then it gets slower.
void DialPolicy::failed(Goal& goal, TimePoint now) const {
  const auto rounds = static_cast<int>(goal.next / std::max<std::size_t>(1, goal.addresses.size()));
  goal.failures = std::min(rounds, 16);
  const auto delay = times_.again * (std::int64_t{1} << std::max(0, goal.failures - 1));
  goal.at = now + std::min<std::chrono::milliseconds>(delay, times_.longest);
}

void DialPolicy::done(const Dial& dial, const std::string& reached, TimePoint now) {
  Goal* goal = nullptr;
  if (const auto found = devices_.find(dial.device); found != devices_.end()) goal = &found->second;
  if (const auto found = by_hand_.find(dial.address); dial.device.empty() && found != by_hand_.end())
    goal = &found->second;
  if (goal == nullptr) return;  // it was removed meanwhile
  goal->under_way = false;
  if (reached.empty()) return failed(*goal, now);
  goal->next = 0;
  goal->failures = 0;
  goal->at = now + times_.again;  // should the session end at once
  if (dial.device.empty()) goal->found = reached;
}

std::optional<TimePoint> DialPolicy::next_deadline() const {
  std::optional<TimePoint> next;
  const auto consider = [&](const Goal& goal) {
    if (wants(goal) && (!next || goal.at < *next)) next = goal.at;
  };
  for (const auto& [device, goal] : devices_) consider(goal);
  for (const auto& [address, goal] : by_hand_) consider(goal);
  return next;
}

}  // namespace caravan::link
