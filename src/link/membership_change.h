// One signed change of a cluster's membership, and how it is written: the exact bytes that are hashed and
// signed. Pure; knows nothing of what a change does (membership_state.h) or of others (membership_log.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "link/crypto.h"
#include "link/identity.h"

namespace caravan::link {

/// Changes that one document can hold. At their longest they fit into kMaxDocumentBytes.
inline constexpr std::size_t kMaxChanges = 1000;
/// From then on nobody makes removals (and leaves), or anything else. What is left up to kMaxChanges is for
/// what several devices make at once, and for confirmations: honest devices can always merge.
inline constexpr std::size_t kLastRemoval = 900;
inline constexpr std::size_t kLastOtherChange = 800;
inline constexpr std::size_t kMaxDocumentBytes = 1U << 20U;
/// Removals made at the same time as others that they could undo: to decide between them takes more than the
/// square of their number.
inline constexpr std::size_t kMaxQuarrels = 32;
inline constexpr std::size_t kMaxParents = 8;
inline constexpr std::size_t kMaxNameBytes = 64;

/// SHA-256 of Change::signed_bytes().
using ChangeId = Hash;

enum class ChangeKind {
  create,   ///< the first change of a cluster: its author is the first owner
  add,      ///< a member joins
  remove,   ///< an owner removes somebody else
  rename,   ///< of a device
  promote,  ///< a member becomes an owner
  leave,    ///< the author removes itself
  seen,     ///< the author has carried out a removal: its voice, should the removed one object afterwards
};

std::string_view name_of(ChangeKind kind);

struct Change {
  ChangeKind kind = ChangeKind::seen;
  PublicKey author{};
  std::vector<ChangeId> parents;  ///< the newest changes that the author knew; sorted, no two the same
  PublicKey subject{};            ///< of add, remove, rename, promote
  std::string name;               ///< of the device: create, add, rename
  std::string cluster;            ///< name of the cluster: create
  std::uint64_t time = 0;  ///< create, add, remove: seconds since 1970 by the author's clock, for people
  Signature signature{};

  /// One line of JSON: the fields that this kind has, but the signature, with sorted keys, no spaces, and
  /// UTF-8 as it is.
  std::string signed_bytes() const;
  ChangeId id() const { return sha256(signed_bytes()); }
  void sign(const Identity& identity);
  bool is_signed() const;
};

Json to_json(const Change& change);
/// Code::invalid for what is not exactly a change: a field too many is refused too, because it would be
/// neither signed nor passed on. Does not check the signature.
Result<Change> change_from_json(const Json& value, const std::string& where);

/// Why this cannot be the name of a device or cluster, or "": 1 to 64 bytes of UTF-8 without control
/// characters, no space at either end.
std::string name_problem(std::string_view name);

}  // namespace caravan::link
