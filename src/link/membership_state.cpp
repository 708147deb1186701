#include "link/membership_state.h"

#include <algorithm>

namespace caravan::link {
namespace {

void make_former(MembershipState& state, const PublicKey& key, std::uint64_t version, bool left) {
  const auto member = state.members.find(key);
  state.removed[key] = FormerMember{key, member->second.name, version, left};
  state.members.erase(member);
}

std::string refusal_about_subject(const MembershipState& state, const Change& change) {
  const bool is_member = state.is_member(change.subject);
  if (change.kind == ChangeKind::add) return is_member ? "that device is a member already" : "";
  if (!is_member) return "that device is not a member";
  if (change.kind == ChangeKind::promote && state.is_owner(change.subject)) {
    return "that device is an owner already";
  }
  if (change.kind == ChangeKind::remove && change.subject == change.author) {
    return "a device does not remove itself, it leaves";
  }
  return "";
}

}  // namespace

bool MembershipState::is_owner(const PublicKey& key) const {
  const auto found = members.find(key);
  return found != members.end() && found->second.is_owner;
}

std::size_t MembershipState::owners() const {
  return static_cast<std::size_t>(
      std::count_if(members.begin(), members.end(), [](const auto& entry) { return entry.second.is_owner; }));
}

std::string refusal(const MembershipState& state, const Change& change) {
  if (change.kind == ChangeKind::create) return state.members.empty() ? "" : "the cluster exists already";
  if (!state.is_member(change.author)) return "its author is not a member";
  if (change.kind == ChangeKind::seen) return "";
  if (change.kind == ChangeKind::leave) {
    const bool last = state.is_owner(change.author) && state.owners() == 1;
    return last ? "the last owner cannot leave: promote another device first" : "";
  }
  if (!state.is_owner(change.author)) return "its author is not an owner";
  return refusal_about_subject(state, change);
}

void apply(MembershipState& state, const Change& change, std::uint64_t version) {
  switch (change.kind) {
    case ChangeKind::create:
      state.cluster_name = change.cluster;
      state.creator = change.author;
      state.members[change.author] = Member{change.author, change.name, true, change.time};
      break;
    case ChangeKind::add:
      state.members[change.subject] = Member{change.subject, change.name, false, change.time};
      state.removed.erase(change.subject);
      break;
    case ChangeKind::remove:
      make_former(state, change.subject, version, false);
      break;
    case ChangeKind::rename:
      state.members[change.subject].name = change.name;
      break;
    case ChangeKind::promote:
      state.members[change.subject].is_owner = true;
      break;
    case ChangeKind::leave:
      make_former(state, change.author, version, true);
      break;
    case ChangeKind::seen:
      break;
  }
}

}  // namespace caravan::link
