// All changes of a cluster that a device knows, and the membership that follows from them: the same from the
// same changes, in whatever order they arrived. Pure; signatures are checked before (membership.h).
//
// A change names as parents the newest changes that its author knew, so that it is known of any two whether
// one was made in knowledge of the other, or both at the same time (neither knew the other).
// 1. A change is taken only if it was its author's to make, judged by its own past alone. That never changes
//    afterwards, so that everybody takes the same ones.
// 2. A removal voids what the removed device did at the same time, and an addition or promotion of that
//    device at the same time. Whoever was removed can therefore sign what it likes with an old past: it is
//    void.
// 3. Of removals that would undo each other (A removes B while B removes A) one is chosen: that of the device
//    of which more members say that it is out (by a removal, or by confirming one with `seen`), then that by
//    the cluster's creator, then that by the lower key. What would undo the chosen one is dropped. A device
//    confirms only the first that it learns of, so that one who was removed and objects later comes too late.
// 4. What is left is carried out in the order (number of changes in its past, id), and what is then refused
//    (a second addition, the last owner leaving) is passed over. So is the addition of a device at the same
//    time as it left.
#pragma once

#include <bitset>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "link/membership_change.h"
#include "link/membership_state.h"

namespace caravan::link {

class MembershipLog {
 public:
  /// True when it is new, false when it was known. Code::not_found when a parent is not known,
  /// Code::invalid when it was not its author's to make, Code::exhausted when the log is full or has more
  /// than kMaxQuarrels removals of which each could undo another.
  Result<bool> insert(Change change);

  /// What follows from all of them.
  const MembershipState& state() const { return state_; }
  std::size_t size() const { return entries_.size(); }
  bool contains(const ChangeId& id) const { return index_.contains(id); }
  /// The changes that no other has as a parent, at most kMaxParents of them: parents of the next change.
  std::vector<ChangeId> heads() const;
  /// Parents before children, in an order that follows from the changes alone.
  std::vector<const Change*> in_order() const;
  /// SHA-256 over the ids: equal when, and only when, the changes are the same.
  Hash digest() const;
  /// A removal of an owner that holds, that `voter` is neither author of nor has answered with a `seen`, and
  /// against which it has not confirmed another. Nothing when there is none.
  std::optional<ChangeId> unconfirmed_removal(const PublicKey& voter) const;
  /// The last change that let this device in: the only parent of its `leave`, unless it is an owner.
  std::optional<ChangeId> let_in_by(const PublicKey& key) const;

 private:
  using Set = std::bitset<kMaxChanges>;

  struct Entry {
    Change change;
    ChangeId id{};
    Set past;  ///< all that its author knew; not itself
    std::size_t past_size = 0;
    Set voids;  ///< of a removal (rule 2)
  };

  const Change& change(std::size_t i) const { return entries_[i].change; }
  bool concurrent(std::size_t a, std::size_t b) const;
  Set voided_by(const Set& removals) const;
  MembershipState replay(const Set& subset, const Set& removals) const;
  MembershipState resolve(const Set& subset) const { return replay(subset, decide(subset)); }

  Set decide(const Set& subset) const;
  bool stands(std::size_t removal, const Set& accepted) const;
  bool undoes(std::size_t removal, std::size_t other, const Set& accepted) const;
  bool undoes_any(std::size_t removal, const Set& accepted) const;
  std::size_t next_to_decide(const std::vector<std::size_t>& undecided, const Set& accepted,
                             const Set& subset) const;
  std::vector<std::size_t> first_circle(const std::vector<std::size_t>& undecided, const Set& accepted) const;
  std::size_t best_of(const std::vector<std::size_t>& circle, const Set& accepted, const Set& subset) const;
  std::map<PublicKey, std::size_t> voices_against(const std::vector<std::size_t>& circle, const Set& accepted,
                                                  const Set& subset) const;

  Set quarrels_with(const Entry& entry) const;
  Result<Entry> make_entry(Change change, const ChangeId& id) const;
  std::string refusal_in_past(const Entry& entry) const;
  std::string refusal_of_parents(const Change& change, const MembershipState& before) const;
  Set all() const;

  std::vector<Entry> entries_;  ///< as they arrived
  std::map<ChangeId, std::size_t> index_;
  std::vector<std::size_t> order_;  ///< of rule 4
  std::vector<std::size_t> removals_;
  Set quarrels_;
  std::set<std::size_t> heads_;
  MembershipState state_;
};

}  // namespace caravan::link
