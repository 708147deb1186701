// The membership of a cluster as a device holds it: who belongs, made and changed by signed changes only,
// merged with what others hold. Pure: no files (membership_store.h), clock or sockets; not shared between
// threads.
//
// Spreading it: nodes tell each other their summary(); whose differs sends document(), and the other
// accept()s. After each accept() that adopted something: confirm_removals(), save, spread again if anything
// was added.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "link/membership_log.h"

namespace caravan::link {

inline constexpr std::uint64_t kMembershipFormat = 1;

/// What is enough to see whether two devices hold the same.
struct MembershipSummary {
  std::string cluster;        ///< id
  std::uint64_t version = 0;  ///< number of changes: grows with each, here and by merging
  std::string digest;         ///< hex of SHA-256 over the changes' ids

  bool operator==(const MembershipSummary&) const = default;
};

enum class Outcome {
  adopted,  ///< something was new to us
  same,     ///< they hold what we hold
  older,    ///< they hold only a part of what we hold: nothing changed
};

struct Acceptance {
  Outcome outcome = Outcome::same;
  bool they_lack = false;  ///< we hold what they do not: send them ours
};

class Membership {
 public:
  /// A new cluster with this device as its owner. `now` here and below: seconds since 1970, kept for people.
  static Result<Membership> create(const Identity& owner, std::string cluster, std::string device,
                                   std::uint64_t now);
  /// From a document alone. It proves only that it is consistent: for one's own file, and what `join` checks.
  static Result<Membership> parse(std::string_view document);
  /// From the document that a new member is given. Code::invalid unless `inviter`, to whom this device was
  /// paired, is an owner in it and `self` a member.
  static Result<Membership> join(std::string_view document, const PublicKey& inviter, const PublicKey& self);

  /// Merges what another device holds: all or, with an error that says why, nothing. Never loses a change
  /// that was known, so that nobody can lead us back to an older membership.
  Result<Acceptance> accept(std::string_view document);

  // Changes by this device. Code::invalid when they are not its to make, Code::exhausted when the cluster has
  // had too many (kLastRemoval); nothing changes then.
  Result<void> add(const Identity& author, const PublicKey& device, std::string name, std::uint64_t now);
  /// What an owner does with a device that has paired: add() with free_name(wanted). Without a change when it
  /// is a member already, because it may never have received its welcome.
  Result<void> admit(const Identity& author, const PublicKey& device, std::string_view wanted,
                     std::uint64_t now);
  Result<void> remove(const Identity& author, const PublicKey& device, std::uint64_t now);
  Result<void> rename(const Identity& author, const PublicKey& device, std::string name);
  Result<void> promote(const Identity& author, const PublicKey& device);
  Result<void> leave(const Identity& author);
  /// Confirms the removals of owners that this device has learnt of (rule 3 of membership_log.h). True when
  /// there was one.
  bool confirm_removals(const Identity& self);

  const std::string& cluster_id() const { return cluster_id_; }
  std::uint64_t version() const { return log_.size(); }
  MembershipSummary summary() const;
  const MembershipState& state() const { return log_.state(); }
  bool is_member(const PublicKey& key) const { return state().is_member(key); }
  bool is_owner(const PublicKey& key) const { return state().is_owner(key); }
  /// By name, id, or the beginning of an id with or without its dash. Code::not_found with what was probably
  /// meant, Code::invalid when it fits several.
  Result<Member> find(std::string_view text) const;
  /// `wanted`, or with "-2", "-3" and so on behind it when a member is called so: all phones may call
  /// themselves "localhost".
  std::string free_name(std::string_view wanted) const;

  /// At most kMaxDocumentBytes of JSON.
  std::string document() const;

 private:
  Membership(MembershipLog log, std::string cluster_id)
      : log_(std::move(log)), cluster_id_(std::move(cluster_id)) {}
  Result<void> check_room(ChangeKind kind) const;
  Result<void> make(const Identity& author, Change change);

  MembershipLog log_;
  std::string cluster_id_;
};

/// What people and the API see of it: {"cluster", "name", "version", "members": [...], "removed": [...]}.
Json to_json(const Membership& membership);

}  // namespace caravan::link
