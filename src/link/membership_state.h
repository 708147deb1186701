// Who belongs to a cluster at one moment, and what a single change does to that. Pure; what happens when
// changes were made at the same time is membership_log's.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "link/membership_change.h"

namespace caravan::link {

struct Member {
  PublicKey key{};
  std::string name;
  bool is_owner = false;
  std::uint64_t joined_at = 0;  ///< seconds since 1970, by the clock of the owner that let it in

  bool operator==(const Member&) const = default;
};

/// A device that was a member. Kept for ever, unless an owner lets it in again.
struct FormerMember {
  PublicKey key{};
  std::string name;
  std::uint64_t at_version = 0;  ///< of the document that its removal made: changes before it, and itself
  bool left = false;             ///< by itself

  bool operator==(const FormerMember&) const = default;
};

struct MembershipState {
  std::string cluster_name;
  PublicKey creator{};
  std::map<PublicKey, Member> members;
  std::map<PublicKey, FormerMember> removed;

  bool is_member(const PublicKey& key) const { return members.contains(key); }
  bool is_owner(const PublicKey& key) const;
  std::size_t owners() const;

  bool operator==(const MembershipState&) const = default;
};

/// Why `change` is not its author's to make here, or makes no sense here; "" when it is fine.
std::string refusal(const MembershipState& state, const Change& change);

/// Carries out a change that is not refused. `version` is what Member and FormerMember remember.
void apply(MembershipState& state, const Change& change, std::uint64_t version);

}  // namespace caravan::link
