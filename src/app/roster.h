// Who this device is and who belongs to its cluster, on the disk before anybody is told.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "link/identity.h"
#include "link/membership.h"

namespace caravan::app {

/// One event loop. Changes write one small file and wait for the disk, which takes milliseconds: they are
/// rare, and what was not written must not be told.
class Roster {
 public:
  /// The key of `folder`, made when there is none, and its membership; a device without one begins a cluster
  /// of its own, called `cluster`, in which it is called `device`.
  static Result<Roster> open(const fs::path& folder, const std::string& device, const std::string& cluster);

  const link::Identity& identity() const { return identity_; }
  const link::Membership& membership() const { return membership_; }
  const std::string& self() const { return identity_.id(); }

  bool is_member() const { return membership_.is_member(identity_.public_key()); }
  bool is_owner() const { return membership_.is_owner(identity_.public_key()); }
  /// Ids of all members, this device too.
  std::set<std::string> members() const;
  /// What people call a device: its name, with the short id behind it when two have the same. A short id for
  /// one that is no member.
  std::string name_of(const std::string& id) const;
  /// `text` with every member's id replaced by its name.
  std::string with_names(std::string text) const;
  /// Id of the member that a person means.
  Result<std::string> find(const std::string& text) const;

  /// Called after each change, by whomever it was made.
  void on_change(std::function<void()> changed) { changed_ = std::move(changed); }

  // Each saves before it succeeds; when it fails nothing has changed. Errors as link::Membership's.
  Result<void> add(const link::PublicKey& device, const std::string& name);
  Result<void> remove(const std::string& id);
  Result<void> rename(const std::string& id, const std::string& name);
  Result<void> promote(const std::string& id);
  Result<void> leave();
  Result<link::Acceptance> accept(const std::string& document);

 private:
  Roster(fs::path folder, link::Identity identity, link::Membership membership)
      : folder_(std::move(folder)), identity_(std::move(identity)), membership_(std::move(membership)) {}
  template <typename Change>
  Result<void> change(Change make);
  std::optional<link::PublicKey> key_of(const std::string& id) const;

  fs::path folder_;
  link::Identity identity_;
  link::Membership membership_;
  std::function<void()> changed_;
};

/// Seconds since 1970.
std::uint64_t seconds_now();

}  // namespace caravan::app
